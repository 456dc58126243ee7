"""The contract is worth nothing unless it catches what real formats have got wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes import LossReport, PoseSet, registry
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats import Format, writing
from cryotypes.testing import check_format

FIELDS = frozenset({"position", "shift", "orientation", "experiment_id", "pixel_spacing"})


def sniff(head):
    return head.data.startswith(b'{"toy":')


def read(path: Path) -> list[PoseSet]:
    """Read what `write` writes."""
    path = Path(path)
    try:
        content = json.loads(path.read_text())["toy"]
        frame = pd.DataFrame(content["rows"])
        if not isinstance(content["rows"], list) or not frame.shape[1] >= 3:
            frame = pd.DataFrame(columns=range(10))
        vectors = frame.to_numpy(dtype=float)
        known = {"shift": vectors[:, 3:6], "orientation": vectors[:, 6:10]}
        known = {name: known[name] for name in known if name in content["fields"]}
        if not np.isfinite(vectors).all():
            raise ValueError("not finite")
        if "orientation" in known:
            known["orientation"] = Rotation.from_quat(known["orientation"].reshape(-1, 4))
        return [
            PoseSet(
                position=vectors[:, :3],
                experiment_id=str(content["experiment"]),
                pixel_spacing=abs(float(content["spacing"])),
                source=path,
                **known,
            )
        ]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ReadError("expected a toy", path) from error


def text_of(data: list[PoseSet]) -> str:
    if len(data) > 1:
        raise WriteError("one experiment a file")
    (poses,) = data
    n = len(poses.position)
    shift = np.zeros((n, 3)) if poses.shift is None else poses.shift
    turn = np.tile([0.0, 0, 0, 1], (n, 1))
    if poses.orientation is not None:
        turn = poses.orientation.as_quat().reshape(-1, 4)
    content = {
        "experiment": poses.experiment_id,
        "spacing": poses.pixel_spacing,
        "fields": [name for name in ("shift", "orientation") if getattr(poses, name) is not None],
        "rows": np.concatenate([poses.position, shift, turn], axis=1).tolist(),
    }
    return json.dumps({"toy": content}) + "\n"


def reported(data: list[PoseSet]) -> LossReport:
    report = LossReport(kept=["position"])
    if any(p.features is not None and len(p.features.columns) for p in data):
        names = {str(name) for p in data for name in p.features.columns}
        report.lost["features"] = f"{', '.join(sorted(names))}: there are no columns"
    return report


def write(data: list[PoseSet], path: Path, *, overwrite: bool = False) -> LossReport:
    """Write a toy: one experiment."""
    text = text_of(data)
    with writing(Path(path), overwrite) as temporary:
        temporary.write_text(text)
    return reported(data)


TOY = Format(
    name="toy",
    title="Toy",
    kind="poses",
    suffixes=(".toy",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=FIELDS,
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence="made up",
    url="https://example.org",
)


def changing_reads(change):
    """A reader that changes what it has read."""

    def reader(path):
        """Read."""
        return change(read(path))

    return {"read": reader}


def changing_writes(change):
    """A writer that changes what it is given, in a copy."""

    def writer(data, path, *, overwrite=False):
        """Write."""
        return write([change(replace(p)) for p in data], path, overwrite=overwrite)

    return {"write": writer}


def inverse(poses):
    if poses.orientation is not None:
        poses.orientation = poses.orientation.inv()
    return poses


def without_shift(poses):
    return replace(poses, shift=None)


def three_digits(poses):
    return replace(poses, position=np.round(poses.position, 3))


def no_orientation_is_identity(poses):
    n = len(poses.position)
    known = poses.orientation is not None
    return replace(poses, orientation=poses.orientation if known else Rotation.identity(n))


def half_a_pixel(posesets):
    return [replace(p, position=p.position + 0.5) for p in posesets]


def a_tuple(posesets):
    return tuple(posesets)


def with_nan(posesets):
    return [replace(p, position=p.position * np.nan) for p in posesets]


def cut_is_an_index_error(path):
    """Read."""
    text = Path(path).read_text(errors="replace")
    if not text.endswith("\n"):
        raise IndexError("list index out of range")
    return read(path)


def cut_names_no_file(path):
    """Read."""
    try:
        return read(path)
    except ReadError:
        raise ReadError("expected a toy") from None


def sniffing_to_the_end(head):
    whole = len(head.data) < 1 << 16
    return sniff(head) and (not whole or bool(json.loads(head.data)))


def cut_is_silent(path):
    """Read; whatever is not there is taken for zero."""
    path = Path(path)
    text = path.read_text(errors="replace")
    if re.search(r"\d, [-.\d]+$", text):
        missing = 9 - text.rsplit("[", 1)[1].count(",")
        path.write_text(text + ", 0.0" * missing + "]]}}\n")
    return read(path)


def warning(path):
    """Read."""
    import warnings

    warnings.warn("a column of mixed types", UserWarning, stacklevel=1)
    return read(path)


def overwriting(data, path, *, overwrite=False):
    """Write, whatever is there."""
    return write(data, path, overwrite=True)


def never_overwriting(data, path, *, overwrite=False):
    """Write, but never what is there."""
    if Path(path).exists():
        if not overwrite:
            raise FileExistsError(path)
        return reported(data)
    return write(data, path)


def in_place(data, path, *, overwrite=False):
    """Write without a temporary file."""
    text = text_of(data)
    if Path(path).exists() and not overwrite:
        raise FileExistsError(path)
    Path(path).write_text(text)
    return reported(data)


def leaving_temporary(data, path, *, overwrite=False):
    """Write aside, and do not clear up."""
    text, path = text_of(data), Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(path)
    aside = path.with_name("aside.tmp")
    aside.write_text(text)
    aside.replace(path)
    return reported(data)


def careless_companion(data, path, *, overwrite=False):
    """Write a second file, whether it is there or not."""
    report = write(data, path, overwrite=overwrite)
    (Path(path).parent / "companion.txt").write_text("more")
    return report


def refusing_too_late(data, path, *, overwrite=False):
    """Write the file, then refuse."""
    with writing(Path(path), overwrite) as temporary:
        temporary.write_text("half")
    text = text_of(data)
    Path(path).write_text(text)
    return reported(data)


def mutating(data, path, *, overwrite=False):
    """Write, and scale the positions on the way."""
    for poses in data:
        poses.position *= 2
        poses.position /= 2
        if len(poses.position):
            poses.position[0, 0] = 7
    return write(data, path, overwrite=overwrite)


def concealing(data, path, *, overwrite=False):
    """Write, and do not say that features are gone."""
    write(data, path, overwrite=overwrite)
    return LossReport()


def merging(data, path, *, overwrite=False):
    """Write all experiments as if they were one."""
    from cryotypes import concatenate

    if len(data) > 1:
        data = [concatenate([replace(p, experiment_id="all") for p in data])]
    return write(data, path, overwrite=overwrite)


def nothing_at_all(data, path, *, overwrite=False):
    """Write nothing."""
    raise WriteError("not today", path)


def key_error(data, path, *, overwrite=False):
    """Write what has features."""
    if data[0].features is None:
        raise KeyError("features")
    return write(data, path, overwrite=overwrite)


def raising_sniffer(head):
    return json.loads(head.data)["toy"]


FAULTS = {
    "an inverse": (changing_writes(inverse), "'one'.*orientation is promised in keeps"),
    "a lost shift": (
        {**changing_writes(without_shift), "keeps": FIELDS - {"shift"}},
        "'one'.*shift is not reported as lost",
    ),
    "a shift promised and lost": (changing_writes(without_shift), "shift is promised"),
    "unknown is identity": (
        changing_writes(no_orientation_is_identity),
        "'no orientation'.*orientation .* differ",
    ),
    "three digits": (changing_writes(three_digits), "position is promised.* differ"),
    "half a pixel": (changing_reads(half_a_pixel), "position is promised.*0.8660"),
    "a tuple": (changing_reads(a_tuple), "expected PoseSets"),
    "positions that are NaN": (changing_reads(with_nan), "expected a ReadError or something valid"),
    "an IndexError": (
        {"read": cut_is_an_index_error},
        r"'cut after \d+ of \d+ bytes'.*expected a ReadError, found IndexError",
    ),
    "a nameless error": (
        {"read": cut_names_no_file},
        r"'cut after \d+ of \d+ bytes'.*expected an error that names .*poses.toy",
    ),
    "a sniffer of whole files": (
        {"sniff": sniffing_to_the_end},
        r"'cut after \d+ of \d+ bytes'.*expected sniff to say True or False, found JSONDecodeErr",
    ),
    "a cut number": (
        {"read": cut_is_silent},
        r"'cut after .*expected a ReadError, a GuessWarning, or the particles before",
    ),
    "a foreign warning": ({"read": warning}, "expected no warning but .*a column of mixed types"),
    "overwriting": (
        {"write": overwriting},
        "'overwriting': expected FileExistsError for poses.toy",
    ),
    "never overwriting": ({"write": never_overwriting}, "overwrite=True left the old poses.toy"),
    "in place": ({"write": in_place}, "'interrupted': poses.toy is written in place"),
    "a temporary left": ({"write": leaving_temporary}, "no temporary file, found aside.tmp"),
    "a companion": ({"write": careless_companion}, "FileExistsError for companion.txt"),
    "a refusal too late": ({"write": refusing_too_late}, "'two experi.*a refused write left a fi"),
    "changed input": ({"write": mutating}, "writing changed the data"),
    "concealed features": ({"write": concealing}, "'two experiments'.*features is not reported"),
    "features promised and lost": (
        {"keeps": FIELDS | {"features"}},
        "'numbers and text'.*features is promised in keeps, but every column is lost",
    ),
    "merged experiments": (
        {"write": merging},
        r"expected \[3, 2\] particles an experiment, found \[5\]",
    ),
    "nothing written": ({"write": nothing_at_all}, "'none'.*expected at least .*not today"),
    "a KeyError": ({"write": key_error}, "expected a WriteError, found KeyError: 'features'"),
    "sniffing everything": ({"sniff": lambda head: True}, "'sniff': expected False for a line end"),
    "sniffing nothing": ({"sniff": lambda head: False}, "sniff does not accept its own poses.toy"),
    "sniffing text": (
        {"sniff": lambda head: head.data.isascii() and b":" in head.data},
        "'sniff': expected False for",
    ),
    "sniffing STAR": (
        {"sniff": lambda head: sniff(head) or b"\ndata_particles" in head.data},
        "'sniff': expected False for a file of relion-star",
    ),
    "a sniffer that raises": ({"sniff": raising_sniffer}, "expected True or False for .*, found"),
    "a name in capitals": ({"name": "Toy"}, "a name in lower case with dashes, found name='Toy'"),
    "a name that is taken": ({"name": "mrc"}, "the name is taken by MRC"),
    "a suffix without dot": ({"suffixes": ("toy",)}, "suffixes in lower case with their dots"),
    "an unknown field": (
        {"keeps": frozenset({"score"})},
        "keeps among experiment_id, features, .*score",
    ),
    "no evidence": ({"evidence": ""}, "expected evidence"),
    "no url": ({"url": ""}, "expected a url"),
}


def test_a_good_format_passes(tmp_path):
    before = list(registry.known_formats())
    check_format(TOY, directory=tmp_path)
    assert list(registry.known_formats()) == before


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_caught(fault, tmp_path):
    """The sentence names format and case, what was expected and found."""
    changes, sentence = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"(?s)^format '\\w+', case .*{sentence}") as caught:
        check_format(replace(TOY, **changes), directory=tmp_path)
    assert "\n" not in str(caught.value)
    assert "toy" not in registry.known_formats()


def test_options_are_documented(tmp_path):
    def silent(path, *, speed: float = 1.0):
        """Read."""

    def positional(path, speed: float = 1.0):
        """Read."""

    with pytest.raises(AssertionError, match="option speed of silent is not in its docstring"):
        check_format(replace(TOY, read=silent), directory=tmp_path)
    with pytest.raises(AssertionError, match="keyword-only options of positional, found speed"):
        check_format(replace(TOY, read=positional), directory=tmp_path)


def test_read_only_formats_need_examples(tmp_path):
    """What cannot be written is tried on the program's own files."""
    path = tmp_path / "a.toy"
    write([PoseSet([[1, 2, 3]], experiment_id="a")], path)
    check_format(replace(TOY, write=None), examples=[path], directory=tmp_path / "work")
    path.write_text("{}")
    with pytest.raises(AssertionError, match=r"'a.toy': sniff does not accept"):
        check_format(replace(TOY, write=None), examples=[path], directory=tmp_path / "more")


def test_works_in_a_directory_of_its_own(tmp_path, monkeypatch):
    """Without one, nothing is left anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    check_format(replace(TOY, write=None))
    assert list(tmp_path.iterdir()) == []
