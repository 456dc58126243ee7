"""A file that is cut while it is lazily open is a ReadError; a mapping would kill the process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import ReadError
from cryotypes.image import statistics
from cryotypes.image._arrays import FileMap
from cryotypes.image._on_disk import map_file
from cryotypes.image._pieces import load

SHAPE = (40, 64, 64)
VALUES = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)

ACCESS = {
    "a number": "data[39, 5, 5]",
    "a slice": "data[39]",
    "a mask": "data[[39, 38]]",
    "a sum": "data.sum()",
    "a mean": "data.mean(axis=0)",
    "arithmetic": "data + 1",
    "arithmetic of another": "np.ones(data.shape) + data",
    "a view": "view - 1",
    "a median": "np.median(data)",
    "a stack": "np.stack([data, data])",
    "a type": "data.astype('f8')",
    "a copy": "data.copy()",
    "bytes": "data.tobytes()",
    "statistics": "statistics(image)",
    "dask": "ct.to_dask(image).data.sum().compute()",
    "binning": "np.asarray(ct.bin_image(image, 2).data)",
    "conversion": "ct.write(image, sys.argv[1] + '.b.mrc')",
    "a slab": "load(data, (slice(30, 40),))",
    "a column": "load(data, (slice(0, 40), slice(5, 6), slice(5, 6)))",
}
SCRIPT = """
import os, sys
import numpy as np
import cryotypes as ct
from cryotypes.errors import ReadError
from cryotypes.image import statistics
from cryotypes.image._pieces import load

image = ct.read_image(sys.argv[1], pixel_spacing=1.0)
data = image.data
view = data[30:]
os.truncate(sys.argv[1], 9000)
for line in sys.argv[2:]:
    print(line, flush=True)
    try:
        eval(line)
    except ReadError as error:
        assert "cut" in str(error) or "changed" in str(error), error
    else:
        raise SystemExit(f"{line} was read")
"""


@pytest.mark.parametrize("name", ["a.mrc", "a.em", "a.tif"])
def test_cut_while_open(tmp_path, name):
    if name.endswith(".tif"):
        pytest.importorskip("tifffile")
    lines = list(ACCESS.values())
    if importlib.util.find_spec("dask") is None:
        lines.remove(ACCESS["dask"])
    ct.write(ct.Image(VALUES, "a"), tmp_path / name)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), *lines]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "part",
    [
        np.s_[:], np.s_[3:9], np.s_[:, ::-1], np.s_[::-2, 5:9], np.s_[:, :, 3], np.s_[7],
        np.s_[:, 1:, ::-1], np.s_[:, 2:62],
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_read_plainly(tmp_path, part, order):
    """Whatever way a piece lies in the file, the same values as by the mapping."""
    path = tmp_path / "a.raw"
    path.write_bytes(b"head" + VALUES.tobytes())
    mapped = map_file(path, "<f4", 4, SHAPE).transpose(order)[part]
    expected = VALUES.transpose(order)[part]
    np.testing.assert_array_equal(load(mapped, ...), expected, strict=True)
    assert not isinstance(load(mapped, ...), np.memmap)


def test_a_file_that_was_replaced(tmp_path):
    """The old one is read on, as it is still there for those who have it open."""
    path, other = tmp_path / "a.raw", tmp_path / "b.raw"
    path.write_bytes(VALUES.tobytes())
    mapped = map_file(path, "<f4", 0, SHAPE)
    other.write_bytes(b"short")
    other.replace(path)
    np.testing.assert_array_equal(load(mapped, ...), VALUES)
    path.unlink()
    np.testing.assert_array_equal(load(mapped, ...), VALUES)


def test_memory_maps_of_numpy(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(8192) + VALUES.tobytes())
    data = FileMap(np.memmap(path, "<f4", "r", 8192, SHAPE))
    np.testing.assert_array_equal(data[...], VALUES)
    os.truncate(path, 9000)
    with pytest.raises(ReadError, match="cut since it was opened"):
        data[...]


def test_what_is_worked_out_is_of_numpy(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(VALUES.tobytes())
    mapped = map_file(path, "<f4", 0, SHAPE)
    for found in (mapped + 1, mapped.mean(axis=0), np.add(1, mapped), mapped.copy(), abs(mapped)):
        assert type(found) is np.ndarray
    assert type(mapped.sum()) is np.float32
    assert mapped.max() == VALUES.max()
    assert statistics(ct.Image(mapped)).maximum == VALUES.max()
