"""starfile, dynamotable, emfile, imodmodel, eulerangles, cryosparc-tools, pandas and pyarrow."""

import dynamotable
import emfile
import eulerangles
import imodmodel
import numpy as np
import pandas as pd
import starfile
from cryosparc import star
from cryosparc.dataset import CSDAT_FORMAT, Dataset
from eulerangles.utils import get_conversion_metadata
from exchange import run

DIALECTS = ("3.0", "3.1", "4.0", "5.0")
TEXTS = ["rlnTomoName", "rlnMicrographName", "rlnGroupName", "rlnBlank", "rlnEmpty"]
ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]


def matrices(angles, program: str) -> np.ndarray:
    """eulerangles' matrices; RELION's and Dynamo's take the particle to the reference."""
    meta = get_conversion_metadata(program)
    found = eulerangles.euler2matrix(angles, meta.axes, meta.intrinsic, meta.right_handed_rotation)
    return found if meta.active else eulerangles.invert_rotation_matrices(found)


def angles_of(matrix: np.ndarray, program: str) -> np.ndarray:
    meta = get_conversion_metadata(program)
    matrix = matrix if meta.active else eulerangles.invert_rotation_matrices(matrix)
    return eulerangles.matrix2euler(matrix, meta.axes, meta.intrinsic, meta.right_handed_rotation)


# STAR


def read_star(truth, folder):
    """Everything that starfile finds in our files of each dialect."""
    answers = {}
    for dialect in DIALECTS:
        path = folder / "ours" / f"{dialect}.star"
        blocks = starfile.read(path, always_dict=True, parse_as_string=TEXTS)
        table = blocks["" if dialect == "3.0" else "particles"]
        answers[dialect] = {
            "blocks": list(blocks),
            "columns": {name: table[name].tolist() for name in table},
            "matrix": matrices(table[ANGLES].to_numpy(), "relion"),
        }
    return answers


def read_star_by_cryosparc(truth, folder):
    """The second reader of STAR files, without quotes."""
    table = star.read(str(folder / "ours" / "plain.star"))["particles"]
    angles = np.column_stack([table[name] for name in ANGLES])
    return {
        "columns": {name: table[name].tolist() for name in table.dtype.names},
        "matrix": matrices(angles, "relion"),
    }


def particles(truth, dialect: str) -> pd.DataFrame:
    named = "rlnTomoName" if dialect in ("4.0", "5.0") else "rlnMicrographName"
    columns = {named: truth.name}
    for axis, letter in enumerate("XYZ"):
        if dialect == "5.0":
            middle = np.array([truth.sizes[truth.names.index(n), axis] for n in truth.name]) / 2
            centred = (truth.position[:, axis] - middle) * truth.spacing
            columns[f"rlnCenteredCoordinate{letter}Angst"] = centred
        else:
            columns[f"rlnCoordinate{letter}"] = truth.position[:, axis]
        if dialect == "3.0":
            columns[f"rlnOrigin{letter}"] = -truth.shift[:, axis]
        else:
            columns[f"rlnOrigin{letter}Angst"] = -truth.shift[:, axis] * truth.spacing
    columns |= dict(zip(ANGLES, angles_of(truth.matrix, "relion").T, strict=True))
    columns["rlnClassNumber"] = truth.class_number
    columns["rlnGroupName"] = [f"{tag:05d}" for tag in truth.tag]  # 00101: not a number
    columns["rlnBlank"] = [f"two words {i}" for i in range(len(truth.tag))]
    columns["rlnEmpty"] = ["" if i % 2 else "x" for i in range(len(truth.tag))]
    if dialect == "3.0":
        return pd.DataFrame(columns | {"rlnMagnification": 1e4, "rlnDetectorPixelSize": 2.5})
    return pd.DataFrame(columns | {"rlnOpticsGroup": 1})


def write_star(truth, folder):
    for dialect in DIALECTS:
        path = folder / "theirs" / f"{dialect}.star"
        table = particles(truth, dialect)
        if dialect == "3.0":
            starfile.write(table, path)
            continue
        spacing = "rlnImagePixelSize" if dialect == "3.1" else "rlnTomoTiltSeriesPixelSize"
        optics = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", spacing: truth.spacing}
        blocks = {"optics": pd.DataFrame([optics]), "particles": table}
        if dialect == "5.0":
            blocks = {"general": {"rlnTomoSubTomosAre2DStacks": 1}} | blocks
        starfile.write(blocks, path)


def write_star_by_cryosparc(truth, folder):
    table = particles(truth, "3.1").drop(columns=["rlnBlank", "rlnEmpty"])
    optics = pd.DataFrame([{"rlnOpticsGroup": 1, "rlnImagePixelSize": truth.spacing}])
    blocks = {"optics": optics.to_records(index=False), "particles": table.to_records(index=False)}
    star.write_blocks(str(folder / "theirs" / "plain.star"), blocks)


# Dynamo


def read_dynamo(truth, folder):
    ours = folder / "ours" / "dynamo"
    table = dynamotable.read(f"{ours}.tbl", f"{ours}.doc")
    xyz, shift = (table[list(names)].to_numpy() for names in (["x", "y", "z"], ["dx", "dy", "dz"]))
    angles = table[["tdrot", "tilt", "narot"]].to_numpy()
    return {
        "columns": {name: table[name].tolist() for name in table},
        "placed": xyz + shift,
        "matrix": matrices(angles, "dynamo"),
        "as_relion": eulerangles.convert_eulers(angles, "dynamo", "relion"),
    }


def write_dynamo(truth, folder):
    # Dynamo's coordinates: the centre of the first voxel is 0.5
    columns = dict(zip("xyz", truth.position.T + 0.5, strict=True))
    columns |= dict(zip(("dx", "dy", "dz"), truth.shift.T, strict=True))
    angles = angles_of(truth.matrix, "dynamo")
    columns |= dict(zip(("tdrot", "tilt", "narot"), angles.T, strict=True))
    columns |= {"tag": truth.tag, "cc": truth.score, "class": truth.class_number}
    columns |= {"tomo_file": truth.name, "apix": truth.spacing}
    table = pd.DataFrame(columns | {"tomo": truth.number})
    dynamotable.write(table, str(folder / "theirs" / "dynamo.tbl"))
    table = pd.DataFrame(columns)  # dynamotable numbers the tomograms itself, from 0
    dynamotable.write(table, str(folder / "theirs" / "from0.tbl"))


def convert_at_gimbal_lock(truth, folder):
    """Dynamo's angles, of which eulerangles takes the last two for gimbal lock."""
    table = dynamotable.read(folder / "ours" / "lock.tbl")
    angles = table[["tdrot", "tilt", "narot"]].to_numpy()
    relion = starfile.read(folder / "ours" / "lock.star", always_dict=True)["particles"]
    converted = eulerangles.convert_eulers(angles, "dynamo", "relion")
    return {
        "dynamo": matrices(angles, "dynamo"),
        "relion": matrices(relion[ANGLES].to_numpy(), "relion"),
        "converted": matrices(converted, "relion"),
    }


# EM files, IMOD models


def read_em(truth, folder):
    header, data = emfile.read(folder / "ours" / "motl.em")
    return {"header": {k: header[k] for k in ("machine", "dtype")}, "data": data}


def write_em(truth, folder):
    data = np.zeros((1, len(truth.tag), 20), dtype=np.float32)
    data[0, :, 0], data[0, :, 3], data[0, :, 4] = truth.score, truth.tag, truth.number
    data[0, :, 7:10], data[0, :, 10:13] = truth.position + 1, truth.shift
    # phi, theta, psi are Dynamo's -narot, -tilt, -tdrot; the file has phi, psi, theta
    data[0, :, 16:19] = -angles_of(truth.matrix, "dynamo")[:, [2, 0, 1]]
    data[0, :, 19] = truth.class_number
    emfile.write(folder / "theirs" / "motl.em", data)
    emfile.write(folder / "theirs" / "double.em", data.astype(float))


def read_imod(truth, folder):
    table = imodmodel.read(folder / "ours" / "points.mod")
    return {
        "placed": table[["x", "y", "z"]].to_numpy(),
        "object_id": table["object_id"].tolist(),
        "contour_id": table["contour_id"].tolist(),
    }


def write_imod(truth, folder):
    table = pd.DataFrame(truth.placed[truth.order], columns=list("xyz"))
    table["object_id"] = np.repeat([0, 1], [30, 20])
    table["contour_id"] = np.arange(50) // 10 % 3
    imodmodel.write(table, folder / "theirs" / "points.mod")
    table[["x", "y"]] += 0.5  # IMOD's own coordinates of the same points
    imodmodel.write(table, folder / "theirs" / "imod.mod")


# cryoSPARC


def turns(vectors: np.ndarray) -> np.ndarray:
    """Rodrigues' formula: the matrices of rotation vectors."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / angle[:, 0]).T
    o = np.zeros(len(x))
    cross = np.stack([o, -z, y, z, o, -x, -y, x, o], axis=1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def vectors(matrix: np.ndarray) -> np.ndarray:
    """The rotation vectors of matrices that turn by more than 0 and less than 180 degrees."""
    angle = np.arccos((np.trace(matrix, axis1=1, axis2=2) - 1) / 2)
    axis = np.stack(
        [matrix[:, i, j] - matrix[:, j, i] for i, j in ((2, 1), (0, 2), (1, 0))], axis=1
    )
    return axis / np.linalg.norm(axis, axis=1)[:, None] * angle[:, None]


def read_cs(truth, folder):
    data = Dataset.load(folder / "ours" / "particles.cs")
    shape = np.array(data["location/micrograph_shape"])
    centre = np.column_stack([data[f"location/center_{axis}_frac"] for axis in "xy"])
    shift = np.array(data["alignments3D/shift"], dtype=float)
    ratio = np.array(data["alignments3D/psize_A"]) / np.array(data["location/micrograph_psize_A"])
    placed = np.zeros((len(data), 3))
    placed[:, :2] = centre * shape[:, ::-1] - shift * ratio[:, None]
    pose = np.array(data["alignments3D/pose"], dtype=float)
    return {
        "placed": placed,
        "matrix": turns(pose).transpose(0, 2, 1),
        "path": list(data["location/micrograph_path"]),
        "split": np.array(data["alignments3D/split"]),
        "uid": [str(uid) for uid in data["uid"]],
    }


def write_cs(truth, folder):
    n, image = len(truth.tag), 4 * truth.spacing
    pose = vectors(truth.matrix.transpose(0, 2, 1))
    fields = {
        "uid": truth.tag.astype(np.uint64),
        "location/micrograph_path": [f"J1/{name}.mrc" for name in truth.name],
        "location/micrograph_shape": np.tile(np.array([1024, 1200], dtype=np.uint32), (n, 1)),
        "location/micrograph_psize_A": np.full(n, truth.spacing, dtype=np.float32),
        "location/center_x_frac": truth.position[:, 0] / 1200,
        "location/center_y_frac": truth.position[:, 1] / 1024,
        "alignments3D/pose": pose.astype(np.float32),
        "alignments3D/shift": (-truth.shift[:, :2] / 4).astype(np.float32),
        "alignments3D/psize_A": np.full(n, image, dtype=np.float32),
        "alignments3D/split": truth.half.astype(np.uint32),
    }
    data = Dataset(fields)
    data.save(folder / "theirs" / "particles.cs")
    data.save(folder / "theirs" / "stream.cs", format=CSDAT_FORMAT)


# our own tables


def read_tables(truth, folder):
    csv = pd.read_csv(folder / "ours" / "poses.csv", comment="#")
    parquet = pd.read_parquet(folder / "ours" / "poses.parquet")
    return {
        kind: {name: table[name].tolist() for name in table}
        for kind, table in {"csv": csv, "parquet": parquet}.items()
    }


def write_tables(truth, folder):
    columns = dict(zip("xyz", truth.position.T, strict=True))
    columns |= dict(zip(("dx", "dy", "dz"), truth.shift.T, strict=True))
    columns |= dict(zip(("rot", "tilt", "psi"), angles_of(truth.matrix, "relion").T, strict=True))
    columns |= {"experiment_id": truth.name, "pixel_spacing": truth.spacing, "tag": truth.tag}
    table = pd.DataFrame(columns | {"note": [f'a "b", {i}' for i in range(len(truth.tag))]})
    table.to_csv(folder / "theirs" / "poses.csv", index=False)
    table.to_parquet(folder / "theirs" / "poses.parquet", index=False)


if __name__ == "__main__":
    run(
        *(read_star, read_star_by_cryosparc, write_star, write_star_by_cryosparc),
        *(read_dynamo, write_dynamo, convert_at_gimbal_lock),
        *(read_em, write_em, read_imod, write_imod, read_cs, write_cs),
        *(read_tables, write_tables),
    )
