"""Images: RELION 3.1, cryohub, copick, ome-zarr and napari read what we write, and we theirs.

What packages of this environment can say (mrcfile, tifffile, h5py, zarr) is in
test_image_packages.py; relion_convert_to_tiff in tests/formats/test_tiff_image.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import mrcfile  # noqa: TID253
import numpy as np
import pytest

import cryotypes
from cryotypes import Image
from cryotypes.image import statistics
from cryotypes.testing import assert_same

pytestmark = [
    pytest.mark.interop,
    # RELION's volumes have the header of stacks; its SPIDER files do not tell the pixel size
    pytest.mark.filterwarnings("ignore::cryotypes.errors.GuessWarning"),
]

HERE = Path(__file__).parent
SPACING = 2.7
# 3.1.3 refuses half precision (mode 12), "please use later versions"
RELION_TAKES = ("float32", "int8", "int16", "uint16")


def numbers(shape, dtype="float32"):
    data = np.random.default_rng(3).normal(20, 30, shape)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        data = np.clip(np.rint(data), limits.min, limits.max)
    return (data + 1j * data[::-1] if kind.kind == "c" else data).astype(kind)


def save(path: Path, data, stack=False) -> Image:
    image = Image(data, path.name.split(".")[0], SPACING, stack=stack)
    assert not cryotypes.write(image, path).lost
    return image


def by_mrcfile(path) -> tuple[np.ndarray, float]:
    with mrcfile.open(path, permissive=True) as file:
        return np.array(file.data), float(file.voxel_size.x)


# --- RELION ---

_NUMBER = r"([-+.\de]+)"
STATISTICS = re.compile(
    rf"= (\d+) x (\d+) x (\d+) x 1 ; avg= {_NUMBER} stddev= {_NUMBER} minval= {_NUMBER} "
    rf"maxval= {_NUMBER}; angpix = {_NUMBER}"
)


def relions_statistics(relion, name) -> list[list[float]]:
    """One row an image: x, y, z, mean, std, minimum, maximum, Å per pixel."""
    found = STATISTICS.findall(relion("relion_image_handler", "--i", name, "--stats"))
    return [[float(value) for value in row] for row in found]


def ours(image) -> list[float]:
    found = statistics(image)
    nz, ny, nx = (1, *image.data.shape)[-3:]
    values = [found.mean, found.std, found.minimum, found.maximum]
    return [nx, ny, nz, *values, image.pixel_spacing]


@pytest.mark.parametrize("dtype", RELION_TAKES)
def test_statistics_are_those_of_relion(relion, tmp_path, dtype):
    """It prints six digits."""
    save(tmp_path / "volume.mrc", numbers((5, 6, 8), dtype))
    save(tmp_path / "stack.mrcs", numbers((5, 6, 8), dtype), stack=True)
    volume = cryotypes.read_image(tmp_path / "volume.mrc")
    stack = cryotypes.read_image(tmp_path / "stack.mrcs")
    sections = [Image(section, "", stack.pixel_spacing) for section in stack.data]
    for name, images in (("volume.mrc", [volume]), ("stack.mrcs", sections)):
        expected = np.array([ours(image) for image in images])
        found = np.array(relions_statistics(relion, name))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        # they would not agree on another image
        assert np.abs(found[0, 3:5] - ours(Image(volume.data[1:]))[3:5]).min() > 1e-3


@pytest.mark.parametrize("dtype", RELION_TAKES)
@pytest.mark.parametrize(("option", "axis"), [("--flipX", 2), ("--flipY", 1), ("--flipZ", 0)])
def test_x_y_and_z_are_those_of_relion(relion, tmp_path, dtype, option, axis):
    """What it flips along x is reversed along our last axis, in its file and as we read it."""
    image = save(tmp_path / "a.mrc", numbers((5, 6, 8), dtype))
    relion("relion_image_handler", "--i", "a.mrc", "--o", "b.mrc", option)
    found = cryotypes.read_image(tmp_path / "b.mrc", experiment_id="a")
    expected = np.flip(image.data.astype(np.float32), axis)
    np.testing.assert_array_equal(by_mrcfile(tmp_path / "b.mrc")[0], expected)
    np.testing.assert_array_equal(found.data, expected)
    assert (found.pixel_spacing, found.stack) == (SPACING, False)
    with pytest.raises(AssertionError, match="data: row"):
        assert_same(found, Image(image.data.astype(np.float32), "a", SPACING))


def test_a_shift_is_seen(relion, tmp_path):
    """By one pixel along x, two along y, one back along z; the border is not periodic."""
    data = save(tmp_path / "a.mrc", numbers((7, 8, 9))).data
    shift = ("--shift_x", 1, "--shift_y", 2, "--shift_z", -1)
    relion("relion_image_handler", "--i", "a.mrc", "--o", "b.mrc", *shift)
    found = np.asarray(cryotypes.read_image(tmp_path / "b.mrc").data)
    np.testing.assert_allclose(found[:-1, 2:, 1:], data[1:, :-2, :-1], atol=1e-4)
    assert np.abs(found - data).max() > 10


def test_sections_are_counted_alike(relion, tmp_path):
    data = save(tmp_path / "a.mrcs", numbers((5, 6, 8)), stack=True).data
    for number in (1, 4):
        relion("relion_image_handler", "--i", f"{number}@a.mrcs", "--o", f"{number}.mrc")
        found = by_mrcfile(tmp_path / f"{number}.mrc")[0].reshape(6, 8)
        np.testing.assert_array_equal(found, data[number - 1])


OPERATIONS = {
    "twice": (("--multiply_constant", 2), lambda data: 2 * data, SPACING),
    "and three": (("--add_constant", 3), lambda data: data + np.float32(3), SPACING),
    "another header": (("--force_header_angpix", 3.3), lambda data: data, 3.3),
    "half": (("--angpix", SPACING, "--rescale_angpix", 2 * SPACING), None, 2 * SPACING),
    "a larger box": (("--new_box", 16), None, SPACING),
}


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_relion_writes_is_read_as_by_mrcfile(relion, tmp_path, operation, suffix):
    options, expected, spacing = OPERATIONS[operation]
    stack = suffix == ".mrcs"
    data = save(tmp_path / f"a{suffix}", numbers((12, 12, 12)), stack).data
    relion("relion_image_handler", "--i", f"a{suffix}", "--o", f"b{suffix}", *options)
    found = cryotypes.read_image(tmp_path / f"b{suffix}")
    theirs, voxel = by_mrcfile(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(found.data, theirs, strict=True)
    assert found.pixel_spacing == spacing == pytest.approx(voxel, rel=1e-6)
    assert found.stack == stack
    if expected is not None:
        np.testing.assert_allclose(found.data, expected(data), rtol=1e-6)
    else:
        assert found.data.shape != data.shape
    if not stack:
        relion("relion_image_handler", "--i", "b.mrc", "--o", "b.spi")
        spider = cryotypes.read_image(tmp_path / "b.spi")
        np.testing.assert_array_equal(spider.data, theirs, strict=True)


def test_fourier_binning_is_that_of_relion(relion, tmp_path):
    """A blob that is not in the middle comes to lie in the same place; by means it would not."""
    grid = np.indices((32, 32, 32))
    squared = sum((axis - x) ** 2 for axis, x in zip(grid, (13, 18.5, 9), strict=True))
    image = save(tmp_path / "a.mrc", np.exp(-squared / 18).astype(np.float32))
    half = ("--angpix", SPACING, "--rescale_angpix", 2 * SPACING)
    relion("relion_image_handler", "--i", "a.mrc", "--o", "b.mrc", *half)
    theirs = cryotypes.read_image(tmp_path / "b.mrc")
    binned = cryotypes.bin_image(image, 2, method="fourier")
    assert theirs.pixel_spacing == pytest.approx(binned.pixel_spacing, rel=1e-6)
    np.testing.assert_allclose(theirs.data, binned.data, atol=2e-4)
    by_means = np.asarray(cryotypes.bin_image(image, 2).data)
    assert np.abs(np.asarray(theirs.data) - by_means).max() > 0.05


# --- cryohub ---

CRYOHUB = """
import json
import numpy as np
from cryohub.reading.mrc import read_mrc
from cryohub.writing.mrc import write_mrc
facts = {{}}
for name in {names!r}:
    image = read_mrc({folder!r} + "/" + name, lazy=False)
    np.save({folder!r} + "/" + name + ".npy", image.data)
    write_mrc(image, {folder!r} + "/back_" + name)
    facts[name] = [image.experiment_id, float(image.pixel_spacing), bool(image.stack)]
print(json.dumps(facts))
"""
CRYOHUB_TAKES = ("int8", "int16", "uint16", "float16", "float32")


def test_cryohub_reads_mrc_files_alike(environment, tmp_path):
    """0.6.4 believes the header alone: volumes and stacks as they are in MRC2014."""
    there = environment("cryohub")
    names = [f"{kind}_{dtype}.mrc" for dtype in CRYOHUB_TAKES for kind in ("volume", "stack")]
    for name in names:
        kind, dtype = name.removesuffix(".mrc").split("_")
        save(tmp_path / name, numbers((3, 4, 5), dtype), stack=kind == "stack")
    facts = json.loads(there.python(CRYOHUB.format(names=names, folder=str(tmp_path))))
    for name in names:
        image = cryotypes.read_image(tmp_path / name)
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), image.data, strict=True)
        found_id, spacing, stack = facts[name]
        assert (found_id, stack) == (image.experiment_id, image.stack)
        assert spacing == pytest.approx(image.pixel_spacing, rel=1e-6)
        back = cryotypes.read_image(tmp_path / f"back_{name}", experiment_id=image.experiment_id)
        assert_same(back, image)


# --- OME-Zarr ---


def test_ome_zarr_and_its_models(environment, tmp_path):
    """ome-zarr reads and writes, ome-zarr-models checks, TensorStore and ngff-zarr read ours."""
    checks = HERE / "zarr_checks.py"
    summary = environment("zarr_peers").pytest("--noconftest", str(checks), cwd=tmp_path)
    assert summary.pop("passed") == 123
    assert set(summary) <= {"warning", "warnings"}


def test_napari_shows_our_ome_zarr(environment, tmp_path):
    """By its plugin napari-ome-zarr, without a display."""
    checks = HERE / "napari_checks.py"
    summary = environment("blik").pytest("--noconftest", str(checks), cwd=tmp_path)
    assert summary.pop("passed") == 8
    assert set(summary) <= {"warning", "warnings"}


def test_copick_reads_our_tomograms_and_we_read_its(environment, tmp_path):
    """By zarr 2, which knows OME-Zarr 0.4 only; levels are found by their numbers."""
    there = environment("copick", client=False)
    data = numbers((9, 20, 30))
    folder = tmp_path / "ExperimentRuns" / "TS_01" / f"VoxelSpacing{SPACING:.3f}"
    folder.mkdir(parents=True)
    cryotypes.write(Image(data, "wbp", SPACING), folder / "wbp.zarr")
    done = there.run(str(HERE / "copick_images.py"), str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert answers == {"spacing": SPACING, "types": ["wbp"]}
    for level in (0, 1, 2):
        expected = cryotypes.read_image(folder / "wbp.zarr", level=level).data
        found = np.load(tmp_path / f"level {level}.npy")
        np.testing.assert_array_equal(found, np.asarray(expected), strict=True)
    np.testing.assert_array_equal(np.load(tmp_path / "level 0.npy"), data)

    theirs = tmp_path / "ExperimentRuns" / "TS_02" / "VoxelSpacing10.000" / "denoised.zarr"
    for level, scale in ((0, 1), (1, 2)):
        image = cryotypes.read_image(theirs, level=level)
        assert (image.experiment_id, image.pixel_spacing) == ("denoised", 10.0 * scale)
        assert not image.stack
        if level == 0:
            np.testing.assert_array_equal(np.asarray(image.data), 2 * data, strict=True)
