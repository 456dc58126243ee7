"""What blik 0.9.2 does with this package; test_blik.py runs this in blik's environment.

blik turns positions xyz into napari's zyx and adds the shift to them.
"""

import cryohub
import mrcfile  # noqa: TID253
import numpy as np
import pandas as pd
import pytest
from blik import reader, writer
from scipy.spatial.transform import Rotation

from cryotypes.image import Image, ImageProtocol
from cryotypes.poseset import PoseSet, PoseSetProtocol

PIXEL = 10.0
POSITION = np.array([[1.0, 2.0, 3.0], [20.0, 30.0, 15.5], [7.0, 5.0, 6.0]])
SHIFT = np.array([[0.5, -1.0, 2.0], [0.0, 0.25, -0.5], [-3.0, 1.5, 0.0]])
ORIENTATION = Rotation.from_euler("ZYZ", [[25, 40, 70], [-110, 65, 12], [5, 90, -30]], degrees=True)
VOLUME = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)

STAR = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnImagePixelSize #3
1 opticsGroup1 10.0

data_particles

loop_
_rlnMicrographName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnCoordinateZ #4
_rlnOriginXAngst #5
_rlnOriginYAngst #6
_rlnOriginZAngst #7
_rlnAngleRot #8
_rlnAngleTilt #9
_rlnAnglePsi #10
_rlnClassNumber #11
_rlnOpticsGroup #12
"""


def star_text(names=("TS_01", "TS_01", "TS_02")) -> str:
    angles = ORIENTATION.inv().as_euler("ZYZ", degrees=True)
    rows = zip(names, np.hstack([POSITION, -SHIFT * PIXEL, angles]), strict=True)
    return STAR + "".join(
        f"{name} {' '.join(map(repr, map(float, row)))} 2 1\n" for name, row in rows
    )


def poses(**fields) -> PoseSet:
    return PoseSet(POSITION, SHIFT, ORIENTATION, "TS_01", PIXEL, "particles.star", **fields)


def check_particles(layers, rows=slice(None)):
    (points, points_facts, points_kind), (vectors, vectors_facts, vectors_kind) = layers
    assert (points_kind, vectors_kind) == ("points", "vectors")
    placed = (POSITION + SHIFT)[rows]
    np.testing.assert_allclose(points, placed[:, ::-1], atol=1e-6)
    assert points_facts["scale"] == vectors_facts["scale"] == [PIXEL] * 3
    for axis in range(3):  # where the reference's x, y and z point, from where the particle is
        np.testing.assert_allclose(vectors[axis::3, 0], placed[:, ::-1], atol=1e-6)
        turned = ORIENTATION[rows].apply(np.eye(3)[axis])
        np.testing.assert_allclose(vectors[axis::3, 1], turned[:, ::-1], atol=1e-6)


def test_read_layers_of_a_star_file(tmp_path):
    (tmp_path / "particles.star").write_text(star_text())
    layers = reader.read_layers(tmp_path / "particles.star")
    assert [kind for _, _, kind in layers] == ["points", "vectors"] * 2
    assert [facts["metadata"]["experiment_id"] for _, facts, _ in layers[::2]] == ["TS_01", "TS_02"]
    check_particles(layers[:2], slice(0, 2))
    check_particles(layers[2:], slice(2, 3))
    features = layers[0][1]["features"]
    assert list(features["rlnClassNumber"]) == [2, 2]
    np.testing.assert_allclose(features[["shift_x", "shift_y", "shift_z"]], SHIFT[:2])


def test_read_layers_of_an_image_and_a_segmentation(tmp_path):
    for name, data in [("TS_01.mrc", VOLUME), ("TS_02.mrc", (VOLUME % 2).astype(np.int8))]:
        with mrcfile.new(tmp_path / name) as mrc:
            mrc.set_data(data)
            mrc.voxel_size = PIXEL
    (tmp_path / "particles.star").write_text(star_text())
    layers = reader.read_layers(
        tmp_path / "particles.star", tmp_path / "TS_01.mrc", tmp_path / "TS_02.mrc"
    )
    kinds = [kind for _, _, kind in layers]
    assert kinds == ["image", "labels", "points", "vectors", "points", "vectors"]
    data, facts, _ = layers[0]
    assert facts["scale"] == [PIXEL] * 3
    assert facts["metadata"]["experiment_id"] == "TS_01"
    assert facts["metadata"]["stack"] is False
    np.testing.assert_array_equal(data, VOLUME)


def test_what_cryohub_reads_follows_the_protocols(tmp_path):
    (tmp_path / "particles.star").write_text(star_text())
    with mrcfile.new(tmp_path / "TS_01.mrc") as mrc:
        mrc.set_data(VOLUME)
    (image,) = cryohub.read(tmp_path / "TS_01.mrc")
    assert type(image) is Image
    for part in cryohub.read(tmp_path / "particles.star"):
        assert type(part) is not PoseSet
        assert isinstance(part, PoseSetProtocol)
        assert not isinstance(part, ImageProtocol)


@pytest.mark.parametrize("features", [None, pd.DataFrame({"class": [1, 2, 3]})])
def test_read_particles_takes_our_poseset(features):
    layers = reader.read_particles(poses(features=features))
    check_particles(layers)
    assert layers[0][1]["metadata"]["experiment_id"] == "TS_01"
    assert ("class" in layers[0][1]["features"]) == (features is not None)
    if features is not None:
        assert list(features) == ["class"]  # ours is left alone


def test_read_particles_without_shift_orientation_and_spacing():
    bare = PoseSet(POSITION, None, None, "TS_01", 0, "")
    with pytest.warns(UserWarning, match="unknown pixel spacing"):
        points, vectors = reader.read_particles(bare)
    np.testing.assert_array_equal(points[0], POSITION[:, ::-1])
    assert points[1]["scale"] == [1, 1, 1]
    np.testing.assert_array_equal(vectors[0][:3, 1], np.eye(3)[:, ::-1])


def test_read_image_and_segmentation_take_our_image():
    image = Image(VOLUME, "TS_01", PIXEL, "TS_01.mrc", False)
    data, facts, kind = reader.read_image(image)
    assert (kind, facts["scale"], facts["name"]) == ("image", [PIXEL] * 3, "TS_01 - image")
    assert data is VOLUME
    assert reader.read_segmentation(image)[2] == "labels"


@pytest.mark.parametrize("version", ["30", "31", "40"])
def test_written_particles_come_back(tmp_path, version):
    layers = reader.read_particles(poses(features=pd.DataFrame({"class": [1, 2, 3]})))
    path = tmp_path / "out.star"
    assert getattr(writer, f"write_particles_relion_{version}")(str(path), layers) == [str(path)]
    (back,) = cryohub.read(path)
    np.testing.assert_allclose(back.position, POSITION, atol=1e-5)
    np.testing.assert_allclose(back.shift, SHIFT, atol=1e-5)
    assert (back.orientation * ORIENTATION.inv()).magnitude().max() < 1e-6
    assert back.pixel_spacing == PIXEL


def test_written_table_comes_back(tmp_path):
    path = tmp_path / "out.tbl"
    writer.write_particles_dynamo(str(path), reader.read_particles(poses()))
    (back,) = cryohub.read(path)
    np.testing.assert_allclose(back.position + back.shift, POSITION + SHIFT, atol=1e-3)


def test_written_image_comes_back(tmp_path):
    data, facts, _ = reader.read_image(Image(VOLUME, "TS_01", PIXEL, "TS_01.mrc", False))
    writer.write_image(tmp_path / "out.mrc", data, facts)
    with mrcfile.open(tmp_path / "out.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, VOLUME)
        assert mrc.voxel_size.x == PIXEL
