"""starfile, dynamotable, emfile, imodmodel, eulerangles, cryosparc-tools, pandas and pyarrow."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import GuessWarning

pytestmark = pytest.mark.interop

DIALECTS = ["3.0", "3.1", "4.0", "5.0"]
# The angles that eulerangles 1.0.2 takes for gimbal lock: it looks at one element of the matrix
# (its matrix2zyz_extrinsic: sin(tilt) * cos(rot) < 1e-4), which vanishes for rot = 90, too.
LOCK = Rotation.from_euler("ZYZ", [[25, 40, 70], [90, 40, 25], [-90, 65, -80]], degrees=True).inv()


@pytest.fixture(scope="module")
def texts(truth):
    """Columns whose values are no numbers, or only look like ones."""
    n = len(truth.name)
    return {
        "rlnGroupName": [f"{tag:05d}" for tag in truth.tag],  # 00101
        "rlnBlank": [f"two words {i}" for i in range(n)],
        "rlnEmpty": ["" if i % 2 else "x" for i in range(n)],
    }


@pytest.fixture(scope="module")
def peers(exchange, truth, flat, sizes, texts):
    def write_ours(folder):
        features = {"rlnClassNumber": truth.class_number, "rlnScore": truth.score, **texts}
        for dialect in DIALECTS:
            ours = truth.posesets(**features)
            cryotypes.write(
                ours,
                folder / f"{dialect}.star",
                dialect=dialect,
                tomogram_dimensions=sizes,
                tomogram_spacing=truth.spacing,
            )
        plain = truth.posesets(rlnClassNumber=truth.class_number, rlnDefocusU=truth.score)
        cryotypes.write(plain, folder / "plain.star", dialect="3.1")
        listed = {"tag": truth.tag, "cc": truth.score, "class": truth.class_number}
        cryotypes.write(truth.posesets(**listed), folder / "dynamo.tbl")
        listed = {"subtomo_num": truth.tag, "score": truth.score, "class": truth.class_number}
        cryotypes.write(truth.posesets(**listed), folder / "motl.em")
        locked = PoseSet(np.ones((3, 3)), np.zeros((3, 3)), LOCK, "TS_01", truth.spacing)
        cryotypes.write(locked, folder / "lock.tbl")
        cryotypes.write(locked, folder / "lock.star", dialect="4.0", tomogram_spacing=truth.spacing)
        cryotypes.write(one_model(truth), folder / "points.mod")
        images = flat.posesets(**{"alignments3D/split": flat.half})
        cryotypes.write(images, folder / "particles.cs", micrograph_shape=(1024, 1200))
        for suffix in ("csv", "parquet"):
            noted = truth.posesets(tag=truth.tag, note=texts["rlnBlank"])
            cryotypes.write(noted, folder / f"poses.{suffix}")

    return exchange("peers", truth, write_ours)


def one_model(truth):
    """All points in one tomogram, in two objects of three contours."""
    return PoseSet(
        position=truth.placed[truth.order],
        experiment_id="points",
        pixel_spacing=truth.spacing,
        features=pd.DataFrame(
            {"object_id": np.repeat([0, 1], [30, 20]), "contour_id": np.arange(50) // 10 % 3}
        ),
    )


def model_order():
    """Rows of that model as they are in a file: by object and contour."""
    return np.lexsort((np.arange(50), np.arange(50) // 10 % 3, np.repeat([0, 1], [30, 20])))


def vectors(columns, label) -> np.ndarray:
    return np.stack([columns[label.format(axis)] for axis in "XYZ"], axis=1)


def check_features(posesets, truth, **columns):
    """Each feature has its rows of these columns, value and type alike."""
    for poses in posesets:
        rows = truth.rows(poses.experiment_id)
        for name, values in columns.items():
            expected = [values[row] for row in rows]
            assert poses.features[name].tolist() == expected, name


# STAR


@pytest.mark.parametrize("dialect", DIALECTS)
def test_starfile_reads_ours(peers, truth, texts, sizes, dialect):
    answer = peers["read_star"][dialect]
    assert answer["blocks"] == ([""] if dialect == "3.0" else ["optics", "particles"])
    columns, order = answer["columns"], truth.order
    unit, end = truth.spacing, "" if dialect == "3.0" else "Angst"
    if dialect == "5.0":
        centre = np.array([sizes[name] for name in truth.name]) / 2
        position = vectors(columns, "rlnCenteredCoordinate{}Angst") / unit + centre[order]
    else:
        position = vectors(columns, "rlnCoordinate{}")
    shift = -vectors(columns, "rlnOrigin{}" + end) / (unit if end else 1)
    np.testing.assert_allclose(position, truth.position[order], atol=1e-9)
    np.testing.assert_allclose(shift, truth.shift[order], atol=1e-9)
    truth.check_answer({"placed": position + shift, "matrix": answer["matrix"]}, angle=1e-6)
    named = "rlnTomoName" if dialect in ("4.0", "5.0") else "rlnMicrographName"
    assert columns[named] == truth.name[order].tolist()
    assert columns["rlnClassNumber"] == truth.class_number[order].tolist()
    assert columns["rlnScore"] == truth.score[order].tolist()  # to the last digit
    for name, values in texts.items():
        assert columns[name] == [values[row] for row in order]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_starfile_writes(peers, truth, texts, sizes, dialect):
    options = {"tomogram_dimensions": sizes} if dialect == "5.0" else {}
    found = cryotypes.read_poses(peers.wrote(f"{dialect}.star"), **options)
    truth.check(found, place=1e-5)  # starfile writes six decimals
    assert {poses.pixel_spacing for poses in found} == {truth.spacing}
    check_features(found, truth, rlnClassNumber=truth.class_number.tolist(), **texts)


def test_the_reader_of_cryosparc_tools_reads_our_star(peers, truth):
    answer = peers["read_star_by_cryosparc"]
    columns, order = answer["columns"], truth.order
    origin = vectors(columns, "rlnOrigin{}Angst")
    placed = vectors(columns, "rlnCoordinate{}") - origin / truth.spacing
    truth.check_answer({"placed": placed, "matrix": answer["matrix"]}, angle=1e-6)
    assert columns["rlnMicrographName"] == truth.name[order].tolist()
    assert columns["rlnClassNumber"] == truth.class_number[order].tolist()
    assert columns["rlnDefocusU"] == truth.score[order].tolist()


def test_the_star_that_cryosparc_tools_writes(peers, truth, texts):
    found = cryotypes.read_poses(peers.wrote("plain.star"))
    truth.check(found, place=1e-9, angle=1e-6)
    check_features(found, truth, rlnClassNumber=truth.class_number.tolist())
    check_features(found, truth, rlnGroupName=texts["rlnGroupName"])


# Dynamo


def test_dynamotable_reads_ours(peers, truth):
    answer = peers["read_dynamo"]
    # dynamotable knows no base; Dynamo's own is 0.5 for the centre of the first voxel (its wiki's
    # Volume_center, and tables that it wrote)
    truth.check_answer(answer, base=0.5, angle=1e-6)
    columns, order = answer["columns"], truth.order
    assert columns["tomo_file"] == truth.name[order].tolist()
    assert columns["tag"] == truth.tag[order].tolist()
    assert columns["cc"] == truth.score[order].tolist()
    assert columns["class"] == truth.class_number[order].tolist()
    assert set(columns["apix"]) == {truth.spacing}
    assert set(columns["aligned_value"]) == set(columns["averaged_value"]) == {1}


@pytest.mark.parametrize(("file", "first"), [("dynamo.tbl", 1), ("from0.tbl", 0)])
def test_what_dynamotable_writes(peers, truth, file, first):
    found = cryotypes.read_poses(peers.wrote(file))
    truth.check(found, place=1e-9, angle=1e-6)
    assert {poses.pixel_spacing for poses in found} == {truth.spacing}
    check_features(found, truth, tag=truth.tag.tolist(), cc=truth.score.tolist())
    check_features(found, truth, **{"class": truth.class_number.tolist()})
    assert min(found[0].metadata["tomogram_numbers"].values()) == first


def test_without_its_map_tomograms_are_called_by_their_numbers(peers, truth, tmp_path):
    table = tmp_path / "table.tbl"
    table.write_bytes(peers.wrote("dynamo.tbl").read_bytes())
    found = cryotypes.read_poses(table)
    assert {poses.experiment_id for poses in found} == {"1", "2", "10"}
    named = cryotypes.read_poses(table, tomogram_names=peers.wrote("dynamo.doc"))
    truth.check(named, place=1e-9, angle=1e-6)


# eulerangles


def test_eulerangles_converts_our_dynamo_angles_to_our_relion_angles(peers, truth):
    columns = peers["read_star"]["4.0"]["columns"]
    ours = [columns[name] for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")]
    theirs = Rotation.from_euler("ZYZ", peers["read_dynamo"]["as_relion"], degrees=True)
    difference = Rotation.from_euler("ZYZ", np.transpose(ours), degrees=True) * theirs.inv()
    assert np.degrees(difference.magnitude()).max() < 1e-6


def test_our_angles_are_right_where_convert_eulers_is_not(peers):
    answer = peers["convert_at_gimbal_lock"]
    for program in ("dynamo", "relion"):  # eulerangles' matrices of the angles in our files
        read = Rotation.from_matrix(np.array(answer[program]))
        assert np.degrees((read * LOCK.inv()).magnitude()).max() < 1e-6
    converted = Rotation.from_matrix(np.array(answer["converted"]))
    off = np.degrees((converted * LOCK.inv()).magnitude())
    assert off[0] < 1e-6
    assert (off[1:] > 1).all()  # see LOCK; if this fails, eulerangles has been repaired


# EM files, IMOD models


def test_emfile_reads_ours(peers, truth):
    answer = peers["read_em"]
    assert answer["header"] == {"machine": 6, "dtype": 5}
    (rows,) = np.array(answer["data"])
    assert rows.shape == (50, 20)
    order = truth.order
    numbers = np.repeat([1, 2, 3], [len(truth.rows(name)) for name in np.unique(truth.name)])
    for column, values in ((3, truth.tag[order]), (4, numbers), (19, truth.class_number[order])):
        np.testing.assert_array_equal(rows[:, column], values)
    np.testing.assert_array_equal(rows[:, 0], truth.score[order].astype(np.float32))
    turn = Rotation.from_euler("zxz", rows[:, [16, 18, 17]], degrees=True)
    placed = rows[:, 7:10] + rows[:, 10:13]
    # positions are MATLAB indices: the programs that cut volumes decide (novaSTA, STOPGAP)
    truth.check_answer({"placed": placed, "matrix": turn.as_matrix()}, place=3e-4, base=1)


@pytest.mark.parametrize("file", ["motl.em", "double.em"])
def test_what_emfile_writes(peers, truth, tmp_path, file):
    names = tmp_path / "names.txt"
    names.write_text("1 TS_01\n2 TS_02\n10 TS_10\n")
    path = peers.wrote(file)
    found = cryotypes.read_poses(path, tomogram_names=names, pixel_spacing=truth.spacing)
    truth.check(found, place=3e-4)  # single precision
    check_features(found, truth, subtomo_num=truth.tag.tolist())
    check_features(found, truth, **{"class": truth.class_number.tolist()})
    check_features(found, truth, score=truth.score.astype(np.float32).astype(float).tolist())


def test_imodmodel_reads_ours(peers, truth):
    answer = peers["read_imod"]
    # imodmodel gives IMOD's own coordinates; in x and y they begin at the edge of the first pixel
    # (IMOD's binspec page; MatTomo's read-me)
    expected = one_model(truth).position[model_order()] + [0.5, 0.5, 0]
    assert np.abs(answer["placed"] - expected).max() < 1e-4
    for name in ("object_id", "contour_id"):
        assert answer[name] == one_model(truth).features[name].iloc[model_order()].tolist()


@pytest.mark.parametrize(("file", "half"), [("imod.mod", True), ("points.mod", False)])
def test_what_imodmodel_writes(peers, truth, file, half):
    (found,) = cryotypes.read_poses(peers.wrote(file), imod_half_pixel=half)
    order = model_order()
    assert np.abs(found.position - truth.placed[truth.order][order]).max() < 1e-4
    expected = one_model(truth).features.iloc[order]
    assert found.features["object_id"].tolist() == expected["object_id"].tolist()
    assert found.features["contour_id"].tolist() == expected["contour_id"].tolist()


# cryoSPARC


def test_dataset_load_reads_ours(peers, flat):
    answer = peers["read_cs"]
    flat.check_answer(answer, place=1e-3, angle=1e-4)  # single precision
    assert answer["path"] == flat.name[flat.order].tolist()
    assert answer["split"] == flat.half[flat.order].tolist()
    assert len(set(answer["uid"])) == 50


@pytest.mark.parametrize("file", ["particles.cs", "stream.cs"])
def test_what_dataset_save_writes(peers, flat, file):
    path = peers.wrote(file)
    found = cryotypes.read_poses(path)
    flat.check(found, place=1e-4, prefix="J1/", suffix=".mrc")
    assert {poses.pixel_spacing for poses in found} == {flat.spacing}
    for poses in found:
        rows = flat.rows(poses.experiment_id[3:-4])
        assert poses.features["uid"].tolist() == flat.tag[rows].tolist()
        assert poses.features["alignments3D/split"].tolist() == flat.half[rows].tolist()


# our own tables


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_pandas_reads_our_tables(peers, truth, texts, kind):
    columns, order = peers["read_tables"][kind], truth.order
    read = {k: np.stack([columns[c] for c in k.split()], axis=1) for k in ("x y z", "dx dy dz")}
    np.testing.assert_array_equal(read["x y z"], truth.position[order])
    np.testing.assert_array_equal(read["dx dy dz"], truth.shift[order])
    turn = Rotation.from_quat(np.stack([columns[c] for c in ("qx", "qy", "qz", "qw")], axis=1))
    placed = read["x y z"] + read["dx dy dz"]
    truth.check_answer({"placed": placed, "matrix": turn.as_matrix()}, angle=1e-6)
    assert columns["experiment_id"] == truth.name[order].tolist()
    assert columns["tag"] == truth.tag[order].tolist()
    assert columns["note"] == [texts["rlnBlank"][row] for row in order]
    assert set(columns["pixel_spacing"]) == {truth.spacing}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_tables_of_pandas(peers, truth, kind):
    path = peers.wrote(f"poses.{kind}")
    with pytest.warns(GuessWarning, match="dx, dy, dz"):
        guessed = cryotypes.read_poses(path)
    truth.check(guessed, place=1e-9, angle=None)
    assert {poses.orientation for poses in guessed} == {None}  # rot, tilt, psi are anybody's
    names = {name: name for name in ("dx", "dy", "dz", "rot", "tilt", "psi")}
    found = cryotypes.read_poses(path, columns=names)
    truth.check(found, place=1e-9, angle=1e-6)
    assert {poses.pixel_spacing for poses in found} == {truth.spacing}
    check_features(found, truth, tag=truth.tag.tolist())
    check_features(found, truth, note=[f'a "b", {i}' for i in range(50)])
