"""Particles of a program that does not exist: ``#points``, then ``x y z a b c`` a line."""

from pathlib import Path

from cryotypes import LossReport, PoseSet, conventions, errors, formats

PLACE = conventions.Place(zero=(1.0, 1.0, 1.0))  # x, y, z are pixels, the first one is 1
TURN = conventions.Turn("euler", inverse=True, axes="ZYZ")  # from the particle to the reference


def sniff(head: formats.Head) -> bool:
    """Whether the first line is ours."""
    return head.data.startswith(b"#points\n")


def read(path: Path, *, pixel_spacing: float = 0.0) -> list[PoseSet]:
    """Read the particles of one tomogram.

    Parameters
    ----------
    pixel_spacing : float
        Å per pixel; the file does not tell.
    """
    text = formats.read_text(path).removeprefix(b"#points\n")
    table = formats.read_numbers(text, path, "xyzabc", required=3, finite=6, first_line=2)
    if table.shape[1] not in (3, 6):
        raise errors.ReadError("expected 3 or 6 numbers a line", path)
    position = conventions.decode_position(table[:, :3], PLACE, pixel_spacing)
    poses = PoseSet(position, pixel_spacing=pixel_spacing, source=path)
    poses.experiment_id = path.stem
    if table.shape[1] > 3:
        poses.orientation = conventions.decode_orientation(table[:, 3:], TURN)
    return [poses]


def write(data: list[PoseSet], path: Path, *, overwrite: bool = False) -> LossReport:
    """Write the particles of one tomogram; without angles if they are unknown."""
    report = LossReport()
    poses = formats.join_poses(data, path, report, FORMAT.keeps, columns=())
    columns = [*conventions.encode_position(poses.position, PLACE, 1.0).T]
    if poses.orientation is not None:
        columns += [*conventions.encode_orientation(poses.orientation, TURN).T]
    with formats.writing(path, overwrite) as temporary:
        temporary.write_bytes(b"#points\n" + formats.number_rows(columns, " "))
    return report


FORMAT = formats.Format(
    name="example-points",
    title="Example points",
    kind="poses",
    suffixes=(".points",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position", "orientation"}),
    tolerance={"position": 1e-6, "orientation": 1e-6},
    evidence="the particle of tests/, worked out by hand",
    url="https://example.org/points",
)
