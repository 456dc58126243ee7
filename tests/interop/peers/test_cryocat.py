"""cryoCAT 0.7: RELION, EM, STOPGAP, Dynamo and IMOD files through its one motive list.

cryoCAT hands coordinates on as it finds them, whatever they count from. Where a test subtracts a
base, that is the one the format's own program uses, not cryoCAT's.
"""

import numpy as np
import pandas as pd
import pytest

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import ReadError

pytestmark = pytest.mark.interop

VERSIONS = ["3.0", "3.1", "4.0", "5.0"]
HALF_IN_PLANE = np.array([0.5, 0.5, 0])  # IMOD's x and y begin at the edge of the first pixel


@pytest.fixture(scope="module")
def cryocat(exchange, truth, tomograms):
    def write_ours(folder):
        (folder / "tomograms.star").write_text(tomograms)
        images = [f"sub/{name[3:]}_{tag}.mrc" for name, tag in tagged(truth)]
        for version in VERSIONS:
            label = "rlnTomoParticleName" if version > "4" else "rlnImageName"
            named = [f"{n}/{tag}" for n, tag in tagged(truth)] if version > "4" else images
            features = {label: named, "rlnClassNumber": truth.class_number}
            features["rlnMaxValueProbDistribution"] = truth.score
            sizes = {"tomograms": folder / "tomograms.star"} if version > "4" else {}
            path = folder / f"{version}.star"
            cryotypes.write(truth.posesets(**features), path, dialect=version, **sizes)
        features = {"subtomo_num": truth.tag, "score": truth.score, "class": truth.class_number}
        cryotypes.write(truth.posesets(**features), folder / "motl.em")
        cryotypes.write(truth.posesets(**features), folder / "stopgap.star", format="stopgap-star")
        features = {"tag": truth.tag, "cc": truth.score, "class": truth.class_number}
        cryotypes.write(truth.posesets(**features), folder / "dynamo.tbl")
        cryotypes.write(one_model(truth), folder / "TS_01.mod")

    return exchange("cryocat", truth, write_ours)


def tagged(truth):
    return zip(truth.name, truth.tag, strict=True)


def one_model(truth) -> PoseSet:
    contours = pd.DataFrame({"object_id": 0, "contour_id": np.repeat([0, 1, 2], [20, 17, 13])})
    return PoseSet(truth.placed[truth.order], experiment_id="TS_01", features=contours)


def check_columns(answer, truth, numbers):
    order = truth.order
    assert answer["subtomo"] == truth.tag[order].tolist()
    assert answer["class"] == truth.class_number[order].tolist()
    assert answer["tomogram"] == numbers
    np.testing.assert_allclose(answer["score"], truth.score[order], rtol=1e-7)


def digits(truth) -> list[int]:
    """cryoCAT calls tomograms by the digits of their names."""
    return [int(name[-2:]) for name in truth.name[truth.order]]


def counted(truth) -> list[int]:
    """Our lists number tomograms from 1, and name them in a .doc."""
    return [["TS_01", "TS_02", "TS_10"].index(name) + 1 for name in truth.name[truth.order]]


# RELION


@pytest.mark.parametrize("version", VERSIONS)
def test_cryocat_reads_our_relion_files(cryocat, truth, version):
    answer = cryocat["read_relion"][version]
    truth.check_answer(answer, place=1e-9, angle=1e-6)
    check_columns(answer, truth, digits(truth))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_relion_files_of_cryocat(cryocat, truth, sizes, version):
    path = cryocat.wrote(f"{version}.star")
    tilts = {"tomogram_dimensions": sizes, "tomogram_spacing": truth.spacing}
    options = tilts if version == "5.0" else {}
    if version > "4":  # cryoCAT's particles are of optics group 0, its optics have group 1 only
        options["pixel_spacing"] = truth.spacing
    found = cryotypes.read_poses(path, **options)
    truth.check(found, place=1e-5)  # six decimals
    for poses in found:
        rows = truth.rows(poses.experiment_id)
        assert poses.pixel_spacing == truth.spacing
        assert poses.features["rlnClassNumber"].tolist() == truth.class_number[rows].tolist()
        label = "rlnTomoParticleName" if version > "4" else "rlnImageName"
        names = [f"sub/{poses.experiment_id[3:]}_{tag:05d}.mrc" for tag in truth.tag[rows]]
        assert poses.features[label].tolist() == names


def test_the_pixel_size_of_an_optics_group_that_is_not_there_is_not_guessed(cryocat, truth, sizes):
    found = cryotypes.read_poses(cryocat.wrote("4.0.star"))
    truth.check(found, place=1e-5)  # in pixels, as the coordinates are
    assert {poses.pixel_spacing for poses in found} == {0}
    with pytest.raises(ReadError, match="pixel_spacing="):
        cryotypes.read_poses(cryocat.wrote("5.0.star"), tomogram_dimensions=sizes)


# EM, STOPGAP, Dynamo


@pytest.mark.parametrize(
    ("kind", "base", "place"),
    [
        ("em", 1, 3e-4),  # MATLAB indices; single precision
        ("stopgap", 1, 1e-9),  # the same: STOPGAP cuts volumes with them
        ("dynamo", 0.5, 1e-9),  # Dynamo's Volume_center: voxel centres are half-integers
    ],
)
def test_cryocat_reads_our_lists(cryocat, truth, kind, base, place):
    answer = cryocat["read_lists"][kind]
    truth.check_answer(answer, base=base, place=place)
    check_columns(answer, truth, counted(truth))


@pytest.mark.parametrize(
    ("file", "tag", "score", "place"),
    [
        ("motl.em", "subtomo_num", "score", 3e-4),
        ("stopgap.star", "subtomo_num", "score", 1e-5),
        ("dynamo.tbl", "tag", "cc", 1e-9),
    ],
)
def test_the_lists_of_cryocat(cryocat, truth, tmp_path, file, tag, score, place):
    names = tmp_path / "names.doc"
    names.write_text("1 TS_01\n2 TS_02\n10 TS_10\n")
    options = {"tomogram_names": names, "pixel_spacing": truth.spacing}
    found = cryotypes.read_poses(cryocat.wrote(file), **options)
    truth.check(found, place=place)
    for poses in found:
        rows = truth.rows(poses.experiment_id)
        assert poses.features[tag].tolist() == truth.tag[rows].tolist()
        assert poses.features["class"].tolist() == truth.class_number[rows].tolist()
        np.testing.assert_allclose(poses.features[score], truth.score[rows], atol=1e-6)
        assert np.abs(poses.shift - truth.shift[rows]).max() < 1e-5


@pytest.mark.parametrize("file", ["from_relion.star", "from_relion.em"])
def test_lists_that_cryocat_made_of_relion_files_count_from_0(cryocat, truth, tmp_path, file):
    """cryoCAT leaves RELION's 0-based coordinates as they are; the list's programs take off 1."""
    names = tmp_path / "names.doc"
    names.write_text("1 TS_01\n2 TS_02\n10 TS_10\n")
    options = {"tomogram_names": names, "pixel_spacing": truth.spacing}
    path = cryocat.wrote(file)
    truth.check(cryotypes.read_poses(path, **options), base=-1, place=3e-4)
    truth.check(cryotypes.read_poses(path, index_base=0, **options), place=3e-4)


# IMOD


def test_cryocat_reads_our_model(cryocat, truth):
    answer = cryocat["read_model"]
    truth.check_answer(answer, place=1e-4, base=HALF_IN_PLANE)
    assert set(answer["tomogram"]) == {1}
    assert len(set(answer["contour"])) == 3


def test_the_model_of_cryocat(cryocat, truth):
    (found,) = cryotypes.read_poses(cryocat.wrote("TS_07.mod"))
    assert found.experiment_id == "TS_07"
    contour = np.arange(50) // 10 % 3
    order = np.lexsort((np.arange(50), contour, np.repeat([0, 1], [30, 20])))
    assert np.abs(found.position - truth.placed[truth.order][order]).max() < 1e-4
    assert found.features["contour_id"].tolist() == contour[order].tolist()
