"""What .mod, PEET, EMAN and crYOLO files have in common; each has its own module as well."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryotypes import PoseSet
from cryotypes.errors import FormatError, GuessWarning, ReadError, WriteError
from cryotypes.formats.poses import (
    cryolo_cbox,
    cryolo_coords,
    eman2_json,
    eman_box,
    imod_mod,
    peet_csv,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.testing import assert_same, zoo

# the zoo lies where it likes
pytestmark = pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")
SIZE = (801, 640, 301)
MODULES = [imod_mod, peet_csv, eman2_json, eman_box, cryolo_cbox, cryolo_coords]
WRITING = {
    "eman2-json": {"tomogram_dimensions": SIZE, "tomogram_spacing": 2.5},
    "eman-box": {"box_size": 33},
    "cryolo-cbox": {"box_size": 33},
}
READING = {
    "eman2-json": {"tomogram_dimensions": SIZE, "tomogram_spacing": 2.5, "pixel_spacing": 2.5}
}

# what is written by hand, and read with READING
SMALL = {
    "eman2-json": b'{"apix_unbin": 2.5,\n"boxes_3d": [[1.5, -2, 3.25, "tm", 0.5, 1], [4, 5, 6]]}\n',
    "eman-box": b"85\t74\t32\t32\n-3\t10\t33\t33\n",
    "cryolo-cbox": b"1.5\t2\t32\t32\t0.75\t30\t31\n4\t5\t32\t32\t0.5\t30\t31\n",
    "cryolo-coords": b"1.5 -2 3.25\n4 5 6\n",
}
each = pytest.mark.parametrize("module", MODULES, ids=lambda m: m.FORMAT.name)


def write(module, data, path, **options):
    name = module.FORMAT.name
    return module.FORMAT.write(data, path, **{**WRITING.get(name, {}), **options})


def read(module, path):
    return module.FORMAT.read(path, **READING.get(module.FORMAT.name, {}))


def path_of(module, directory) -> Path:
    return directory / f"TS_01{module.FORMAT.suffixes[0]}"


def baked(poses, keeps):
    """What a file with these fields should give back."""
    shift = np.zeros((len(poses), 3)) if poses.shift is None else poses.shift
    holds = "shift" in keeps
    return replace(
        poses,
        position=poses.position if holds else poses.position + shift,
        shift=shift if holds else None,
    )


@each
@pytest.mark.parametrize("name", zoo())
def test_zoo_comes_back(module, name, tmp_path):
    format, data = module.FORMAT, zoo()[name]
    path = path_of(module, tmp_path)
    refused = name == "two experiments"
    flat = all(not (baked(p, ()).position[:, 2]).any() for p in data)
    refused |= module is eman_box and not flat
    if refused:
        with pytest.raises(WriteError, match=r"one experiment|without z"):
            write(module, data, path)
        assert not list(tmp_path.iterdir())
        return
    report = write(module, data, path)
    found = read(module, path)
    ignore = {"experiment_id", "features", "orientation", "pixel_spacing"} - format.keeps
    if name in ("no orientation", "position only"):
        ignore.add("orientation")
        assert "orientation" not in format.keeps or report.lost["orientation"]
    if len(data[0]) == 0:
        ignore |= {"pixel_spacing", "orientation", "shift", "features"}
    expected = [baked(p, format.keeps) for p in data]
    if name == "very large" and module in (imod_mod, peet_csv):
        assert "single precision" in report.lost["position"]
        ignore.add("position")
    if "features" in format.keeps and data[0].features is not None:
        found[0].features = found[0].features[list(data[0].features.columns)]
    else:
        ignore.add("features")
    assert_same(found, expected, tolerance=format.tolerance, ignore=ignore)
    assert format.sniff(Head.of(path))


@each
def test_sniff_knows_only_its_own(module, tmp_path):
    sniff = module.FORMAT.sniff
    own = path_of(module, tmp_path)
    flat = [replace(p, metadata=None) for p in zoo()["2D"]]
    write(module, flat, own)
    others = {
        "image.mrc": b"\0" * 2048,
        "noise.bin": np.random.default_rng(0).bytes(4096),
        "empty": b"",
        "particles.star": b"data_particles\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n",
        "cets.json": b'{"alignments": [{"boxes": []}]}',
        "picks.json": b'{"pickable_object_name": "a", "points": [{"location": {"x": 1}}]}',
        "point.ndjson": b'{"type": "point", "location": {"x": 1, "y": 2, "z": 3}}\n',
        "table.csv": b"x,y,z\n1,2,3\n",
        "table.tbl": b"1 1 1 0 0 0 0 0 0 0.5 0 0 0\n",
        "points.txt": b"1 2 3\n",
        "model.mod": b"imod 1\nobject 0 1 0\n",
    }
    for suffix in module.FORMAT.suffixes:
        others |= {f"empty{suffix}": b"", f"noise{suffix}": others["noise.bin"]}
        others[f"text{suffix}"] = b"a b c d e\nf g h i j\n"
    for other in MODULES:
        if other is not module:
            path = path_of(other, tmp_path)
            write(other, flat, path, overwrite=True)
            assert not sniff(Head.of(path)), path
    write(module, flat, own, overwrite=True)
    assert sniff(Head.of(own))
    for name, data in others.items():
        assert not sniff(Head(Path(name), data)), name
    assert not sniff(Head(tmp_path, b""))


def small(module, directory) -> Path:
    path = path_of(module, directory)
    if module.FORMAT.name in SMALL:
        path.write_bytes(SMALL[module.FORMAT.name])
    else:
        features = pd.DataFrame({"object_id": [0, 1], "contour_id": [0, 0], "size": [3.0, np.nan]})
        write(module, [replace(zoo()["three"][0][:2], features=features)], path)
    return path


@each
def test_an_empty_file(module, tmp_path):
    path = path_of(module, tmp_path)
    path.write_bytes(b"")
    if module.FORMAT.name in ("eman-box", "cryolo-cbox", "cryolo-coords"):  # pickers leave such
        with pytest.warns(GuessWarning, match="empty"):
            assert len(read(module, path)[0]) == 0
    else:
        with pytest.raises(ReadError, match="empty"):
            read(module, path)


@each
@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_compressed(module, suffix, tmp_path):
    path = path_of(module, tmp_path)
    compressed = path.with_name(path.name + suffix)
    data = [replace(p, metadata=None) for p in zoo()["2D"]]
    write(module, data, path)
    if suffix not in module.FORMAT.compression:
        return
    write(module, data, compressed)
    again = read(module, compressed)
    assert_same(again, read(module, path))
    assert again[0].experiment_id == "TS_01"
    assert module.FORMAT.sniff(Head.of(compressed))
    if suffix == ".gz":
        assert gzip.decompress(compressed.read_bytes()) == path.read_bytes()
    compressed.write_bytes(compressed.read_bytes()[:-9])
    with pytest.raises(ReadError, match="damaged"):
        read(module, compressed)


@each
def test_refuses_to_overwrite_and_leaves_the_old_file(module, tmp_path, monkeypatch):
    path = small(module, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(module, zoo()["2D"], path)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(module, zoo()["2D"], path, overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with pytest.raises(FileNotFoundError, match="is not a directory"):
        write(module, zoo()["2D"], tmp_path / "absent" / path.name)


@each
def test_pixel_spacing_is_given_or_unknown(module, tmp_path):
    path = path_of(module, tmp_path)
    poses = replace(zoo()["2D"][0], pixel_spacing=0.0)
    if module is eman2_json:
        with pytest.raises(WriteError, match="pixel_spacing"):
            write(module, [poses], path)
        return
    write(module, [poses], path)
    assert read(module, path)[0].pixel_spacing == 0.0
    assert module.FORMAT.read(path, pixel_spacing=1.35)[0].pixel_spacing == 1.35


@each
def test_every_error_is_of_the_family(module, tmp_path):
    with pytest.raises(FileNotFoundError):
        read(module, tmp_path / f"absent{module.FORMAT.suffixes[0]}")
    assert issubclass(ReadError, FormatError)
    assert module.FORMAT.evidence


def test_every_format_puts_particles_at_the_same_place(tmp_path):
    """Odd and even sizes, whole numbers and fractions."""
    position = np.array([[10, 20, 30], [0, 0, 0], [100.5, 7.25, 3], [1, 2, 3], [64, 64, 64.0]])
    poses = PoseSet(position, experiment_id="TS_01", pixel_spacing=2.5)
    for module in (imod_mod, peet_csv, eman2_json, cryolo_cbox, cryolo_coords):
        path = path_of(module, tmp_path)
        write(module, [poses], path, overwrite=True)
        np.testing.assert_allclose(read(module, path)[0].position, position, atol=1e-9)
