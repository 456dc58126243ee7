"""Images of files travel to other processes by path, parts of them, too; never by value."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import ReadError

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.CryotypesWarning")

VALUES = np.arange(32 * 64 * 64, dtype=np.float32).reshape(32, 64, 64)
SUFFIXES = [".mrc", ".em", ".tif", ".hdf", ".zarr"]
LARGEST = 4000  # bytes; the values are 512 kB


@pytest.fixture(params=SUFFIXES)
def image(request, tmp_path):
    for suffix, package in ((".tif", "tifffile"), (".hdf", "h5py"), (".zarr", "zarr")):
        if request.param == suffix:
            pytest.importorskip(package)
    path = tmp_path / f"a volume{request.param}"
    ct.write(ct.Image(VALUES, pixel_spacing=2.0), path)
    return ct.read_image(path)


@pytest.mark.parametrize(
    "part",
    [
        lambda data: data,
        lambda data: data[3:20, ::-1, 5:],
        lambda data: data[7],
        lambda data: data[:, 4],
    ],
    ids=["all", "a box", "a section", "across"],
)
def test_a_part_is_sent_by_path(image, part):
    found = part(image.data)
    expected = part(VALUES)
    if isinstance(found, np.ndarray) and not isinstance(found, np.memmap):
        return  # read already: it is the values
    sent = pickle.dumps(found)
    assert len(sent) < LARGEST
    again = pickle.loads(sent)
    np.testing.assert_array_equal(np.asarray(again), expected)
    assert len(pickle.dumps(again)) < LARGEST


def test_a_whole_image_in_another_process(image, tmp_path):
    for one in (image, ct.bin_image(image, 2, lazy=True), ct.crop(image, (1, 2, 3), (40, 41, 20))):
        expected = float(np.asarray(one.data).sum(dtype=np.float64))
        sent = pickle.dumps(one)
        assert len(sent) < 2 * LARGEST
        (tmp_path / "sent").write_bytes(sent)
        code = (
            "import pickle, numpy as np\n"
            f"image = pickle.loads(open({str(tmp_path / 'sent')!r}, 'rb').read())\n"
            "print(float(np.asarray(image.data).sum(dtype=np.float64)))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert float(done.stdout) == expected, done.stderr


def test_what_is_worked_out_is_numpys_own(tmp_path):
    path = tmp_path / "a.mrc"
    ct.write(ct.Image(VALUES), path)
    data = ct.read_image(path).data
    assert isinstance(data, np.memmap)
    assert type(data + 1) is np.ndarray
    assert type(data[[1, 2]]) is np.ndarray
    assert isinstance(data.sum(), np.floating)
    assert type(np.sqrt(data)) is np.ndarray
    assert type(data.mean(axis=0)) is np.ndarray
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data + 1)), VALUES + 1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data.copy())), VALUES)


def test_a_file_that_is_gone_or_changed_is_said(tmp_path):
    path = tmp_path / "a.mrc"
    ct.write(ct.Image(VALUES), path)
    sent = pickle.dumps(ct.read_image(path))
    ct.write(ct.Image(VALUES + 1), path, overwrite=True)
    with pytest.raises(ReadError, match=r"a\.mrc: the file has changed since it was sent"):
        pickle.loads(sent)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.mrc"):
        pickle.loads(sent)
