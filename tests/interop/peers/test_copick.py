"""copick 1.31: picks, and its readers and writers of RELION, Dynamo and EM files."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import cryotypes

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def copick(exchange, truth, sizes, tomograms):
    def write_ours(folder):
        (folder / "tomograms.star").write_text(tomograms)
        picks = truth.posesets(instance_id=truth.tag, score=truth.score)
        for poses in picks:
            run = folder / "project" / "ExperimentRuns" / poses.experiment_id / "Picks"
            run.mkdir(parents=True)
            path = run / "cryotypes_0_ribosome.json"
            cryotypes.write(poses, path, format="copick-json")
        for dialect in ("4.0", "5.0"):
            path = folder / f"{dialect}.star"
            cryotypes.write(
                truth.posesets(), path, dialect=dialect, tomograms=folder / "tomograms.star"
            )
        (folder / "made.star").write_text(subtomograms(truth))
        read = cryotypes.read_poses(folder / "made.star")
        truth.check(read, angle=1e-6)
        cryotypes.write(read, folder / "subtomograms.star")
        cryotypes.write(truth.posesets(cc=truth.score), folder / "dynamo.tbl")
        listed = truth.posesets(subtomo_num=truth.tag, score=truth.score)
        cryotypes.write(listed, folder / "motl.em")

    return exchange("copick", truth, write_ours)


def subtomograms(truth) -> str:
    """A RELION 4 file whose subtomograms are turned, so that origins are in a turned frame."""
    frame = Rotation.from_quat(np.random.default_rng(8).normal(size=(50, 4)))
    frame_angles = frame.inv().as_euler("ZYZ", degrees=True)
    angles = (frame.inv() * truth.orientation).inv().as_euler("ZYZ", degrees=True)
    origin = -frame.inv().apply(truth.shift) * truth.spacing
    labels = ["rlnTomoName", *(f"rlnCoordinate{axis}" for axis in "XYZ")]
    labels += [f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi")]
    labels += [f"rlnAngle{name}" for name in ("Rot", "Tilt", "Psi")]
    labels += [f"rlnOrigin{axis}Angst" for axis in "XYZ"] + ["rlnOpticsGroup"]
    table = np.column_stack([truth.position, frame_angles, angles, origin])
    rows = [
        f"{name} {' '.join(map(repr, row))} 1\n"
        for name, row in zip(truth.name, table.tolist(), strict=True)
    ]
    head = "".join(f"_{label} #{i}\n" for i, label in enumerate(labels, 1))
    optics = f"_rlnOpticsGroup #1\n_rlnTomoTiltSeriesPixelSize #2\n1 {truth.spacing}\n"
    return f"\ndata_optics\n\nloop_\n{optics}\n\ndata_particles\n\nloop_\n{head}{''.join(rows)}\n"


# picks


def test_copick_reads_our_picks(copick, truth):
    answers = copick["read_picks"]
    assert sorted(answers) == ["TS_01", "TS_02", "TS_10"]
    joined = {key: np.concatenate([answers[name][key] for name in sorted(answers)])
              for key in ("placed", "full", "matrix", "score", "instance_id")}  # fmt: skip
    truth.check_answer(joined, place=1e-9, angle=1e-6)
    np.testing.assert_allclose(joined["full"], joined["placed"])
    assert joined["score"].tolist() == truth.score[truth.order].tolist()
    assert joined["instance_id"].tolist() == truth.tag[truth.order].tolist()
    for answer in answers.values():
        assert answer["trusted"] is True
        assert answer["unit"] == "angstrom"


def test_the_picks_of_copick(copick, truth):
    folder = copick.wrote("project") / "ExperimentRuns"
    found = [
        poses
        for name in ("TS_01", "TS_02", "TS_10")
        for poses in cryotypes.read_poses(folder / name / "Picks" / "them_1_ribosome.json")
    ]
    truth.check(found, place=1e-9, angle=1e-6)
    for poses in found:
        rows = truth.rows(poses.experiment_id)
        assert poses.pixel_spacing == truth.spacing
        assert np.abs(poses.shift - truth.shift[rows]).max() < 1e-9
        assert poses.features["instance_id"].tolist() == truth.tag[rows].tolist()
        assert poses.features["score"].tolist() == truth.score[rows].tolist()
        assert poses.metadata["user_id"] == "them"


def test_the_keys_of_our_picks_are_those_of_copick(copick):
    end = "ExperimentRuns/TS_01/Picks"
    ours = json.loads((copick.ours / "project" / end / "cryotypes_0_ribosome.json").read_text())
    path = copick.wrote("project") / end / "them_1_ribosome.json"
    theirs = json.loads(path.read_text())
    assert ours.keys() == theirs.keys()
    assert ours["points"][0].keys() == theirs["points"][0].keys()


# RELION


@pytest.mark.parametrize("name", ["4.0", "5.0", "subtomograms"])
def test_copick_reads_our_relion_files(copick, truth, name):
    answer = copick["read_relion"][name]
    if name == "subtomograms":  # written in the order of the file that was read
        order = np.argsort(answer["tomogram"], kind="stable")
        answer = {key: np.array(values)[order] for key, values in answer.items()}
    truth.check_answer(answer, angle=1e-6)
    assert list(answer["tomogram"]) == truth.name[truth.order].tolist()


@pytest.mark.parametrize("name", ["4.0", "5.0"])
def test_the_relion_files_of_copick(copick, truth, name):
    options = {"tomograms": copick.ours / "tomograms.star"} if name == "5.0" else {}
    options |= {"pixel_spacing": truth.spacing} if name == "5.0" else {}
    found = cryotypes.read_poses(copick.wrote(f"{name}.star"), **options)
    truth.check(found, place=1e-5)  # six decimals
    assert {poses.pixel_spacing for poses in found} == {truth.spacing}


def test_origins_of_filaments_are_in_the_frame_of_the_subtomogram(copick, truth):
    """copick's relion_rows_to_poses, after RELION's particle_set.cpp, says how far they reach."""
    answer = copick["write_relion"]
    found = cryotypes.read_poses(copick.wrote("filaments.star"))
    truth.check([placed_without_shift(poses) for poses in found], place=1e-5)
    shift = np.concatenate([poses.shift for poses in found]) * truth.spacing
    np.testing.assert_allclose(shift, -np.array(answer["offset"]), atol=1e-5)
    tubes = [tube for poses in found for tube in poses.features["rlnHelicalTubeID"]]
    assert tubes == answer["tube"]


def placed_without_shift(poses):
    return cryotypes.PoseSet(poses.position, None, poses.orientation, poses.experiment_id)


# Dynamo, EM


def test_copick_reads_our_dynamo_table(copick, truth):
    answer = copick["read_dynamo"]
    # copick takes a table's coordinates for pixel indices, so that particles are half a pixel off;
    # voxel centres are half-integers in Dynamo (its wiki's Volume_center, tables it wrote)
    truth.check_answer(answer, base=0.5, angle=1e-6)
    assert answer["score"] == truth.score[truth.order].tolist()
    assert answer["tomogram"] == truth.name[truth.order].tolist()


def test_the_dynamo_table_of_copick(copick, truth, tmp_path):
    names = tmp_path / "names.doc"
    names.write_text("1 TS_01\n2 TS_02\n10 TS_10\n")
    path = copick.wrote("dynamo.tbl")
    options = {"tomogram_names": names, "pixel_spacing": truth.spacing}
    # the same half pixel: by default the numbers mean what they mean in Dynamo
    truth.check(cryotypes.read_poses(path, **options), base=-0.5, angle=1e-6)
    found = cryotypes.read_poses(path, corner_offset=0, **options)
    truth.check(found, place=1e-9, angle=1e-6)
    for poses in found:
        rows = truth.rows(poses.experiment_id)
        assert poses.features["cc"].tolist() == truth.score[rows].tolist()


def test_copick_reads_our_motive_list(copick, truth):
    answer = copick["read_em"]
    truth.check_answer(answer, place=3e-4)  # it takes off the 1, as we do; single precision
    numbers = np.repeat([1, 2, 3], [len(truth.rows(name)) for name in np.unique(truth.name)])
    assert answer["tomogram"] == numbers.tolist()
    # copick's scores are row 4, which holds numbers of subtomograms (novaSTA's motlEntry.h)
    assert answer["score"] == truth.tag[truth.order].tolist()


def test_the_motive_list_of_copick(copick, truth, tmp_path):
    names = tmp_path / "names.doc"
    names.write_text("1 TS_01\n2 TS_02\n10 TS_10\n")
    options = {"tomogram_names": names, "pixel_spacing": truth.spacing}
    found = cryotypes.read_poses(copick.wrote("motl.em"), **options)
    truth.check(found, place=3e-4)
    for poses in found:  # where copick writes scores, see above
        written = truth.score[truth.rows(poses.experiment_id)].astype(np.float32)
        assert poses.features["subtomo_num"].tolist() == written.astype(float).tolist()
        assert set(poses.features["score"]) == {0}
