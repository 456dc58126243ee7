"""Write the five particles as each program would. It must not import cryotypes.

Every function states its program's formulae: O turns the reference into the particle, p is the
0-based position in pixels (whole numbers at pixel centres), s the shift to be added.
"""

import json
import struct
from pathlib import Path

import numpy as np
import polars as pl
from scipy.spatial.transform import Rotation

HERE = Path(__file__).parent

ANGLES = np.array(  # RELION's rot, tilt, psi
    [[25, 40, 70], [-110, 65, 15], [160, 125, -95], [5, 10, 20], [-60, 88, 171]], dtype=float
)
P = np.array(
    [[10, 20, 30], [101.5, 200.25, 50.75], [7, 300, 150.5], [399, 1, 99], [250.125, 60.5, 12]]
)
S = np.array([[1, -2, 3], [0.5, 0.25, -1.5], [-4, 2.5, 0], [0, 0, 2], [3.25, -1, -0.75]])
NAMES = ["TS_01", "TS_02", "TS_01", "TS_02", "TS_01"]
NUMBERS = [1, 2, 1, 2, 1]
PX = 2.0
SIZE = np.array([401, 403, 201])  # of the tomogram, odd on purpose
ROWS = range(5)

# RELION's matrix A = Z(psi) Y(tilt) Z(rot) of frame rotations maps the reference to the image
O = Rotation.from_euler("ZYZ", ANGLES, degrees=True).inv()
assert np.allclose(O[0].apply([14, 0, 0]), [-2.235467, -11.157248, 8.155888], atol=1e-6)
FLAT = np.array([1, 1, 0])  # particles in micrographs have no z


def text(name, *lines):
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def row(*values):
    flat = []
    for value in values:
        flat += np.ravel(value).tolist() if isinstance(value, np.ndarray) else [value]
    return " ".join(v if isinstance(v, str) else repr(v) for v in flat)


def loop(name, labels, rows, numbered=True):
    mark = (lambda i: f" #{i}") if numbered else (lambda i: "")
    header = [f"_{label}{mark(i)}" for i, label in enumerate(labels.split(), 1)]
    return ["", f"data_{name}", "", "loop_", *header, *([] if numbered else [""]), *rows, ""]


RLN_XYZ = "rlnCoordinateX rlnCoordinateY rlnCoordinateZ"
RLN_ANGLES = "rlnAngleRot rlnAngleTilt rlnAnglePsi"
RLN_ANGST = "rlnOriginXAngst rlnOriginYAngst rlnOriginZAngst"
RLN_SUB = "rlnTomoSubtomogramRot rlnTomoSubtomogramTilt rlnTomoSubtomogramPsi"


def relion_3_0():
    """Origins are subtracted, and count pixels of the images: 10000 and 4 µm are 4 Å."""
    labels = (
        f"rlnMicrographName {RLN_XYZ} {RLN_ANGLES} rlnOriginX rlnOriginY rlnOriginZ "
        "rlnMicrographPixelSize rlnMagnification rlnDetectorPixelSize"
    )
    rows = [row(NAMES[i], P[i], ANGLES[i], -S[i] * PX / 4, PX, 10000.0, 4.0) for i in ROWS]
    text("relion_3.0.star", *loop("", labels, rows))


def relion_3_1():
    """Origins are subtracted, in Å."""
    labels = f"rlnMicrographName {RLN_XYZ} {RLN_ANGLES} {RLN_ANGST} rlnOpticsGroup"
    optics = "rlnOpticsGroup rlnOpticsGroupName rlnImagePixelSize rlnMicrographPixelSize"
    rows = [row(NAMES[i], P[i], ANGLES[i], -S[i] * PX, 7) for i in ROWS]
    text(
        "relion_3.1.star",
        *loop("optics", optics, [row(7, "seven", 4.0, PX)]),
        *loop("particles", labels, rows),
    )


def subtomograms():
    """O = Rsub * Rpart; the origin is in the frame of the subtomogram."""
    sub = np.array([[30, 50, -20], [0, 0, 0], [90, 0, 0], [10, 80, -30], [-170, 100, 20]], float)
    outer = Rotation.from_euler("ZYZ", sub, degrees=True).inv()
    inner = (outer.inv() * O).inv().as_euler("ZYZ", degrees=True)
    return sub, inner, -outer.inv().apply(S) * PX


def relion_4():
    sub, inner, origin = subtomograms()
    labels = f"rlnTomoName {RLN_XYZ} {RLN_SUB} {RLN_ANGLES} {RLN_ANGST} rlnOpticsGroup"
    optics = "rlnOpticsGroup rlnOpticsGroupName rlnTomoTiltSeriesPixelSize rlnImagePixelSize"
    rows = [row(NAMES[i], P[i], sub[i], inner[i], origin[i], 1) for i in ROWS]
    text(
        "relion_4.star",
        *loop("optics", optics, [row(1, "one", PX, 8.0)]),
        *loop("particles", labels, rows),
    )


def relion_5():
    """Å from the centre, N / 2 (not N // 2)."""
    sub, inner, origin = subtomograms()
    centred = " ".join(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
    labels = f"rlnTomoName {RLN_SUB} {RLN_ANGLES} rlnOpticsGroup {RLN_ANGST} {centred}"
    optics = "rlnOpticsGroup rlnOpticsGroupName rlnTomoTiltSeriesPixelSize rlnImagePixelSize"
    rows = [row(NAMES[i], sub[i], inner[i], 1, origin[i], (P[i] - SIZE / 2) * PX) for i in ROWS]
    text(
        "relion_5/particles.star",
        "",
        "data_general",
        "",
        "_rlnTomoSubTomosAre2DStacks   1",
        *loop("optics", optics, [row(1, "one", PX, 8.0)]),
        *loop("particles", labels, rows),
    )
    sizes = "rlnTomoName rlnTomoTiltSeriesPixelSize rlnTomoSizeX rlnTomoSizeY rlnTomoSizeZ"
    known = [row(name, PX, SIZE) for name in ("TS_01", "TS_02")]
    text("relion_5/tomograms.star", *loop("global", sizes, known))


def relatives_of_relion():
    """RELION 5's picker counts from N / 2 - 1; WarpTools' matching writes fractions of the size."""
    centred = " ".join(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
    place = (P + S - (SIZE / 2 - 1)) * PX
    rows = [row(NAMES[i], PX, place[i]) for i in ROWS]
    labels = f"rlnTomoName rlnTomoTiltSeriesPixelSize {centred}"
    text("relion_5_picker.star", *loop("particles", labels, rows))
    rows = [row(NAMES[i], (P + S)[i] / SIZE, PX) for i in ROWS]
    labels = f"rlnMicrographName {RLN_XYZ} rlnPixelSize"
    text("warp_normalised.star", *loop("", labels, rows))


def m():
    """Å from the volume's corner; RELION's angles; no shifts."""
    labels = "wrpCoordinateX1 wrpCoordinateY1 wrpCoordinateZ1 wrpAngleRot1 wrpAngleTilt1 "
    labels += "wrpAnglePsi1 wrpRandomSubset wrpSourceName wrpSourceHash"
    rows = [row((P + S)[i] * PX, ANGLES[i], 1, NAMES[i], "0123456789ABCDEF") for i in ROWS]
    text("m.star", *loop("", labels, rows))


def numbered(name):
    """The map of tomogram numbers to names, beside the list."""
    text(name, "1 TS_01", "2 TS_02")


def dynamo():
    """O.inv() is zxz of tdrot, tilt, narot; the first voxel's corner is 0; shifts are added."""
    turn = O.inv().as_euler("zxz", degrees=True)
    rows = []
    for i in ROWS:
        begin = [i + 1, 1, 1, *S[i], *turn[i], 0.31, 0, 0, 0, -60, 60, 0, 0, 0, 0, NUMBERS[i]]
        rows.append(row(np.array([*begin, 1, 1, 0, *(P[i] + 0.5), *[0] * 9, PX, *[0] * 6])))
    text("dynamo.tbl", *rows)
    numbered("dynamo.doc")


def av3():
    """O = zxz of phi, theta, psi; MATLAB indices; shifts are added. Return phi, theta, psi."""
    return O.as_euler("zxz", degrees=True)


def motl():
    """EM file, PC (6), float32 (5), 20 × 5 × 1; the order in the file is phi, psi, theta."""
    phi, theta, psi = av3().T
    rows = np.zeros((5, 20))
    rows[:, 0], rows[:, 3], rows[:, 4], rows[:, 19] = 0.5, np.arange(1, 6), NUMBERS, 1
    rows[:, 7:10], rows[:, 10:13] = P + 1, S
    rows[:, 16], rows[:, 17], rows[:, 18] = phi, psi, theta
    header = struct.pack("<4B3i", 6, 0, 0, 5, 20, 5, 1).ljust(512, b"\0")
    (HERE / "motl.em").write_bytes(header + rows.astype("<f4").tobytes())
    numbered("motl.doc")


def stopgap():
    labels = (
        "motl_idx tomo_num object subtomo_num halfset orig_x orig_y orig_z score "
        "x_shift y_shift z_shift phi psi the class"
    )
    phi, theta, psi = (a.tolist() for a in av3().T)
    rows = [
        row(i + 1, NUMBERS[i], 1, i + 1, "AB"[i % 2], P[i] + 1, 0.5, S[i], phi[i], psi[i],
            theta[i], 1)
        for i in ROWS
    ]  # fmt: skip
    text("stopgap.star", *loop("stopgap_motivelist", labels, rows, numbered=False))
    numbered("stopgap.doc")


def cryosparc():
    """The pose is O.inv() as rotation vector in radians; shifts are subtracted, in pixels of 4 Å;
    centres are fractions of the micrograph, whose shape is (ny, nx)."""
    nx, ny = 400, 320
    fields = [
        ("uid", "<u8"),
        ("location/micrograph_path", "S8"),
        ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"),
        ("location/center_y_frac", "<f4"),
        ("location/micrograph_psize_A", "<f4"),
    ]
    pose = [("pose", "<f4", (3,)), ("shift", "<f4", (2,)), ("psize_A", "<f4")]
    flat = [("pose", "<f4"), ("shift", "<f4", (2,)), ("psize_A", "<f4")]

    def table(group, group_fields, poses, name):
        own = [(f"{group}/{n}", *rest) for n, *rest in group_fields]
        data = np.zeros(5, dtype=fields + own)
        data["uid"], data["location/micrograph_path"] = np.arange(5) + 10**18, NAMES
        data["location/micrograph_shape"] = ny, nx
        data["location/center_x_frac"] = P[:, 0] / nx
        data["location/center_y_frac"] = P[:, 1] / ny
        data["location/micrograph_psize_A"], data[f"{group}/psize_A"] = PX, 4.0
        data[f"{group}/pose"], data[f"{group}/shift"] = poses, -S[:, :2] * PX / 4
        with (HERE / name).open("wb") as file:
            np.save(file, data)

    table("alignments3D", pose, O.inv().as_rotvec(), "cryosparc.cs")
    psi = np.deg2rad(ANGLES[:, 2])  # in 2D the pose is RELION's psi; some hold its negative
    table("alignments2D", flat, psi, "cryosparc_2d.cs")
    table("alignments2D", flat, -psi, "cryosparc_2d_opposite.cs")


def cistem():
    """Phi, theta, psi are rot, tilt, psi; shifts are added, in Å; positions are in Å."""
    labels = (
        "cisTEMPositionInStack cisTEMAnglePsi cisTEMAngleTheta cisTEMAnglePhi cisTEMXShift "
        "cisTEMYShift cisTEMPixelSize cisTEMOriginalImageFilename cisTEMOriginalXPosition "
        "cisTEMOriginalYPosition"
    )
    rows = [
        row(i + 1, ANGLES[i, ::-1], S[i, :2] * PX, PX, f"'{NAMES[i]}'", P[i, :2] * PX) for i in ROWS
    ]
    text("cistem.star", *loop("", labels, rows))
    par = [
        row(i + 1, ANGLES[i, ::-1], S[i, :2] * PX, 10000, 1, 9000.0, 8000.0, 45.0, 0.0, 100.0,
            -500, 1.0, 10.0, 0.0)
        for i in ROWS
    ]  # fmt: skip
    names = "NO PSI THETA PHI SHX SHY MAG INCLUDE DF1 DF2 ANGAST PSHIFT OCC LogP SIGMA SCORE CHANGE"
    text("cistem.par", f"C {names}", *par)


def imod_bytes(points):
    """One object, one contour; the header says 2 Å (units 10^-10 m)."""
    header = b"IMODV1.2" + struct.pack(">128s", b"five points")
    header += struct.pack(">3i i I i i i i", *SIZE.tolist(), 1, 1 << 12, 1, 2, 0, 255)
    header += struct.pack(">3f 3f 5i f i i 3f", 0, 0, 0, 1, 1, 1, 0, 0, 0, 3, 128, PX, -10, 0,
                          0, 0, 0)  # fmt: skip
    assert len(header) == 240
    thing = struct.pack(">64s64s 3i i 3f i 8B 2i", b"", b"", 1, 1 << 9, 0, 1, 0, 1, 0, 5,
                        1, 3, 1, 1, 0, 0, 0, 0, 0, 0)  # fmt: skip
    contour = struct.pack(">4i", len(points), 0, 0, 0) + points.astype(">f4").tobytes()
    return header + b"OBJT" + thing + b"CONT" + contour + b"IEOF"


def imod():
    """The first voxel's centre is (0.5, 0.5, 0.0); many tools leave the half pixel out."""
    (HERE / "imod.mod").write_bytes(imod_bytes(P + S + [0.5, 0.5, 0.0]))
    (HERE / "imod_whole.mod").write_bytes(imod_bytes(P + S))


def peet():
    """O = zxz of EulerZ(1), EulerX(2), EulerZ(3); offsets are added to the model's points."""
    head = (
        "CCC,reserved,reserved,pIndex,wedgeWT,NA,NA,NA,NA,NA,xOffset,yOffset,zOffset,NA,NA,"
        "reserved,EulerZ(1),EulerZ(3),EulerX(2),reserved"
    )
    first, middle, last = O.as_euler("zxz", degrees=True).T
    lines = []
    for i in ROWS:
        values = [0.5, 0, 0, i + 1, 1, 0, 0, 0, 0, 0, *S[i], 0, 0, 0, first[i], last[i], middle[i]]
        lines.append(",".join(repr(float(v)) for v in [*values, 0]))
    text("peet.csv", head, *lines)
    (HERE / "peet.mod").write_bytes(imod_bytes(P + [0.5, 0.5, 0.0]))


def eman2():
    """From the centre n // 2 in pixels of apix_unbin; before 2018, from the first pixel."""
    place = (P + S - SIZE // 2) * PX / 0.5
    boxes = [[*xyz, "manual", 0.0, 0] for xyz in place.tolist()]
    text("eman2_info.json", json.dumps({"apix_unbin": 0.5, "boxes_3d": boxes}))
    old = [[*xyz, "manual", 0.0, 0] for xyz in (P + S).tolist()]
    text("eman2_old_info.json", json.dumps({"boxes_3d": old}))


def boxes():
    """x and y are the lowest corner of a box of 33 × 31; crYOLO's z is the centre."""
    size = np.array([33, 31])
    corner = (P + S)[:, :2] - size / 2
    text("eman.box", *(row(corner[i], size) for i in ROWS))
    labels = "CoordinateX CoordinateY CoordinateZ Width Height Depth EstWidth EstHeight Confidence"
    labels += " NumBoxes Angle"
    rows = [
        row(corner[i], (P + S)[i, 2].item(), size, 1, "<NA>", "<NA>", 0.5, 1, "<NA>") for i in ROWS
    ]
    text("cryolo.cbox", "", "data_global", "", "_cbox_format_version 1.0",
         *loop("cryolo", labels, rows))  # fmt: skip
    text("cryolo.coords", *(row((P + S)[i]) for i in ROWS))


def portal():
    """Voxels; the matrix is that of O."""
    lines = [
        json.dumps(
            {
                "type": "orientedPoint",
                "location": dict(zip("xyz", (P + S)[i].tolist(), strict=True)),
                "xyz_rotation_matrix": O[i].as_matrix().tolist(),
            }
        )
        for i in ROWS
    ]
    text("portal.ndjson", *lines)


def copick():
    """Å; the transformation's matrix is O, its translation the shift, in Å."""
    points = []
    for i in ROWS:
        transform = np.eye(4)
        transform[:3, :3], transform[:3, 3] = O[i].as_matrix(), S[i] * PX
        location = dict(zip("xyz", (P[i] * PX).tolist(), strict=True))
        points.append({"location": location, "transformation_": transform.tolist(),
                       "instance_id": 0, "score": 1.0})  # fmt: skip
    head = {"pickable_object_name": "ribosome", "user_id": "u", "session_id": "0",
            "run_name": "TS_01", "voxel_spacing": PX, "unit": "angstrom",
            "trust_orientation": True}  # fmt: skip
    text("copick.json", json.dumps({**head, "points": points}, indent=1))


def own():
    """Pixels from 0, shifts added, quaternions of O with the scalar last."""
    text("coordinates.xyz", *(row((P + S)[i]) for i in ROWS))
    header = "x,y,z,dx,dy,dz,qx,qy,qz,qw,experiment_id,pixel_spacing"
    lines = [row(P[i], S[i], O[i].as_quat(), NAMES[i], PX).replace(" ", ",") for i in ROWS]
    text("table.csv", "# cryotypes_poseset_version: 1", header, *lines)
    numbers = np.concatenate([P, S, O.as_quat()], axis=1)
    columns = dict(zip(header.split(","), numbers.T, strict=False))
    table = pl.DataFrame({**columns, "experiment_id": NAMES, "pixel_spacing": [PX] * 5})
    table.write_parquet(HERE / "table.parquet", compression="uncompressed", statistics=False)


def pytom():
    """O = zxz of Z1, X, Z2; voxels from 0; shifts are added."""
    first, middle, last = O.as_euler("zxz", degrees=True).T
    lines = []
    for i in ROWS:
        pick, shift = (f'X="{v[0]}" Y="{v[1]}" Z="{v[2]}"' for v in (P[i], S[i]))
        lines += [
            f'  <Particle Filename="particle_{i}.em">',
            f'    <Rotation Z1="{first[i]}" Z2="{last[i]}" X="{middle[i]}" Paradigm="ZXZ"/>',
            f"    <Shift {shift}/>",
            f'    <PickPosition {pick} Origin="{NAMES[i]}" Binning="1"/>',
            '    <Score Type="FLCFScore" Value="0.5"/>',
            "  </Particle>",
        ]
    text("pytom.xml", "<ParticleList>", *lines, "</ParticleList>")


if __name__ == "__main__":
    for make in (relion_3_0, relion_3_1, relion_4, relion_5, relatives_of_relion, m, dynamo, motl,
                 stopgap, cryosparc, cistem, imod, peet, eman2, boxes, portal, copick, own,
                 pytom):  # fmt: skip
        make()
