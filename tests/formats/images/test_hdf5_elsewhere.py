"""HDF5 files whose values are in other files, or which stand for far more than they hold."""

from __future__ import annotations

import resource

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import ReadError
from cryotypes.formats.images import eman2_hdf, hdf5_image

h5py = pytest.importorskip("h5py")
read, read_eman2 = hdf5_image.FORMAT.read, eman2_hdf.FORMAT.read

SECRET = b"root:x:0:0:root:"


def stored_elsewhere(folder):
    (folder / "passwd").write_bytes(SECRET)
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("a", (4, 4), "u1", external=[(str(folder / "passwd"), 0, 16)])


def virtual(folder):
    with h5py.File(folder / "b.h5", "w") as file:
        file["b"] = np.frombuffer(SECRET, "u1").reshape(4, 4)
    layout = h5py.VirtualLayout((4, 4), "u1")
    layout[...] = h5py.VirtualSource(str(folder / "b.h5"), "b", (4, 4))
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_virtual_dataset("a", layout)


def linked(folder):
    with h5py.File(folder / "b.h5", "w") as file:
        file["b"] = np.frombuffer(SECRET, "u1").reshape(4, 4)
    with h5py.File(folder / "a.h5", "w") as file:
        file["elsewhere"] = h5py.ExternalLink(str(folder / "b.h5"), "b")
        file["a"] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize("make", [stored_elsewhere, virtual, linked])
def test_other_files_only_if_asked_for(tmp_path, make):
    make(tmp_path)
    for options in ({"dataset": "a"}, {"dataset": "/a"}):
        with pytest.raises(ReadError, match=r"other files .*external=True"):
            read(tmp_path / "a.h5", **options)
    if make is not linked:  # which is not looked for
        with pytest.raises(ReadError, match="other files"):
            read(tmp_path / "a.h5")
    back = read(tmp_path / "a.h5", dataset="a", external=True)
    assert np.asarray(back.data).tobytes() == SECRET


@pytest.mark.parametrize("place", ["MDF/images/0/image", "MDF/images/0", "MDF/images", "MDF"])
def test_eman2_linked_elsewhere(tmp_path, place):
    ct.write(ct.Image(np.ones((3, 4, 5), "f4"), "b", 1.0), tmp_path / "b.hdf")
    with h5py.File(tmp_path / "b.hdf") as other, h5py.File(tmp_path / "a.hdf", "w") as file:
        other.copy("MDF", file)
        del file[place]
        file[place] = h5py.ExternalLink("b.hdf", place)
    with pytest.raises(ReadError, match="other files"):
        read_eman2(tmp_path / "a.hdf")


def test_links_within_the_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/b"] = np.ones((3, 4), "f4")
        file["c"], file["d"] = h5py.SoftLink("g"), h5py.SoftLink("/c/b")
        file["loop"] = h5py.SoftLink("loop")
    for name in ("c/b", "d", "/d", "g/b"):
        assert read(tmp_path / "a.h5", dataset=name).data.shape == (3, 4)
    with pytest.raises(ReadError, match="no dataset 'loop'"):
        read(tmp_path / "a.h5", dataset="loop")


def test_a_chunk_that_stands_for_gigabytes(tmp_path):
    """1 GB of zeros in a megabyte, for one number: it is refused before it is unpacked."""
    path, shape = tmp_path / "a.h5", (1024, 1024, 1024)
    with h5py.File(path, "w") as file:
        found = file.create_dataset("a", shape, "u1", chunks=shape, compression="gzip")
        found.id.write_direct_chunk((0, 0, 0), bytes(2_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ReadError, match=r"2000000 bytes unpacks to 1073741824.*h5repack"):
        np.asarray(read(path).data[:2, :2, :2])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000
