"""cryoCAT's motive lists: one table of its own, read from and written to every format."""

import numpy as np
import pandas as pd
from cryocat import cryomotl
from exchange import run
from scipy.spatial.transform import Rotation


def motl(truth, base=0.0):
    """cryoCAT's table, with coordinates that count from ``base``; it never changes them."""
    xyz, shift = truth.position + base, truth.shift
    angles = Rotation.from_matrix(truth.matrix).as_euler("zxz", degrees=True)
    columns = dict.fromkeys(cryomotl.Motl.motl_columns, 0.0)
    columns |= dict(zip("xyz", xyz.T, strict=True))
    columns |= dict(zip(("shift_x", "shift_y", "shift_z"), shift.T, strict=True))
    columns |= dict(zip(("phi", "theta", "psi"), angles.T, strict=True))
    columns |= {"score": truth.score, "class": truth.class_number, "subtomo_id": truth.tag}
    columns |= {"tomo_id": truth.number, "object_id": 7}
    return pd.DataFrame(columns, index=range(len(xyz)))[list(cryomotl.Motl.motl_columns)]


def answer(motl):
    names = {"subtomo": "subtomo_id", "tomogram": "tomo_id", "class": "class", "score": "score"}
    return {
        "placed": motl.get_coordinates(),
        "matrix": np.array([turn.as_matrix() for turn in motl.get_rotations()]),
        **{key: motl.df[column].tolist() for key, column in names.items()},
    }


def read_relion(truth, folder):
    ours = folder / "ours"
    answers = {}
    for version in (3.0, 3.1, 4.0):
        path, binning = str(ours / f"{version}.star"), 1.0 if version == 4.0 else None
        answers[str(version)] = answer(
            cryomotl.RelionMotl(path, version, pixel_size=truth.spacing, binning=binning)
        )
    sizes = str(ours / "tomograms.star")
    path = str(ours / "5.0.star")
    answers["5.0"] = answer(
        cryomotl.RelionMotlv5(path, sizes, pixel_size=truth.spacing, binning=1.0)
    )
    return answers


def write_relion(truth, folder):
    theirs = folder / "theirs"
    names = {"tomo_format": "TS_$xx", "subtomo_format": "sub/$xx_$yyyyy.mrc"}
    for version in (3.0, 3.1, 4.0):
        binning = 1.0 if version == 4.0 else None
        list_ = cryomotl.RelionMotl(motl(truth), version, truth.spacing, binning)
        path = str(theirs / f"{version}.star")
        list_.write_out(path, write_optics=version > 3, **names)
    sizes = str(folder / "ours" / "tomograms.star")
    list_ = cryomotl.RelionMotlv5(motl(truth), sizes, pixel_size=truth.spacing, binning=1.0)
    list_.write_out(str(theirs / "5.0.star"), **names)


def read_lists(truth, folder):
    ours = folder / "ours"
    return {
        "em": answer(cryomotl.EmMotl(str(ours / "motl.em"))),
        "dynamo": answer(cryomotl.DynamoMotl(str(ours / "dynamo.tbl"))),
        "stopgap": answer(cryomotl.StopgapMotl(str(ours / "stopgap.star"))),
    }


def write_lists(truth, folder):
    theirs = folder / "theirs"
    cryomotl.EmMotl(motl(truth, base=1)).write_out(str(theirs / "motl.em"))
    cryomotl.StopgapMotl(motl(truth, base=1)).write_out(str(theirs / "stopgap.star"))
    cryomotl.DynamoMotl(motl(truth, base=0.5)).write_out(str(theirs / "dynamo.tbl"))


def write_converted(truth, folder):
    """Our RELION file in other formats: cryoCAT leaves the coordinates as they are."""
    ours, theirs = str(folder / "ours" / "3.1.star"), folder / "theirs"
    to = {suffix: str(theirs / f"from_relion.{suffix}") for suffix in ("star", "em")}
    pixel = {"pixel_size": truth.spacing}
    cryomotl.relion2stopgap(ours, 3.1, load_kwargs=pixel, output_motl_path=to["star"])
    cryomotl.relion2emmotl(ours, 3.1, output_motl_path=to["em"], **pixel)


def read_model(truth, folder):
    """A model; its contours must differ in length for cryoCAT to take points for particles."""
    list_ = cryomotl.ModMotl(str(folder / "ours" / "TS_01.mod"))
    return {
        "placed": list_.get_coordinates(),
        "tomogram": list_.df["tomo_id"].tolist(),
        "contour": list_.df["geom2"].tolist(),
    }


def write_model(truth, folder):
    table = motl(truth).iloc[truth.order].reset_index(drop=True)
    table[["x", "y", "z"]] += table[["shift_x", "shift_y", "shift_z"]].to_numpy()
    table[["x", "y"]] += 0.5  # IMOD's own coordinates
    table["object_id"] = np.repeat([1, 2], [30, 20])
    table["geom2"] = np.arange(50) // 10 % 3 + 1
    table["geom5"] = 4
    cryomotl.ModMotl(table).write_out(str(folder / "theirs" / "TS_07.mod"))


if __name__ == "__main__":
    run(
        *(read_relion, write_relion, read_lists, write_lists, write_converted),
        *(read_model, write_model),
    )
