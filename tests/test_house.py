"""The house: imports point down, nothing heavy is loaded early, public names exist."""

from __future__ import annotations

import ast
import graphlib
import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cryotypes
from cryotypes.formats import BUILT_IN

SOURCE = Path(cryotypes.__file__).parent

# A module may import from its own row and from those above it.
LAYERS = [
    {
        "errors",
        "names",
        "loss",
        "_sizes",
        "_lazy",
        "_typed",
        "_check",
        "_progress",
        "_option_text",
        "_version",
    },
    {"poseset", "image", "projectionmodel"},
    {"conventions"},
    {"geometry", "matching"},
    {"formats"},
    {"io", "registry", "conversion"},
    {"plots", "testing"},
    {"demo"},
    {"cli", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FORMATS = sorted((SOURCE / "formats").rglob("*.py"))
PACKAGES = sorted(
    ".".join(("cryotypes", *path.parent.relative_to(SOURCE).parts))
    for path in SOURCE.rglob("__init__.py")
)


def sources():
    return [p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py"]


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_parts(path: Path):
    """The first-level parts of cryotypes that a file imports, relative imports resolved."""
    package = ("cryotypes", *path.relative_to(SOURCE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{a.name}" if module == "cryotypes" else module for a in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "cryotypes" and len(parts) > 1 and parts[1] in RANK:
                yield parts[1], node.lineno


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path):
    own = part_of(path)
    assert own in RANK, f"{own} has no layer yet"
    upward = [
        f"{path.name}:{line} imports {other}"
        for other, line in imported_parts(path)
        if RANK[other] > RANK[own]
    ]
    assert upward == []


@pytest.mark.parametrize("path", FORMATS, ids=lambda p: str(p.relative_to(SOURCE)))
def test_formats_leave_conventions_to_the_engine(path):
    """No inverse of a rotation, and no file is printed to a terminal."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert name not in ("inv", "print", "as_euler", "from_euler"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("module", BUILT_IN)
def test_every_format_has_its_test_module(module):
    """In the mirror of its room: what is wrong with a format is looked for there."""
    room, name = module.split(".")
    assert (Path(__file__).parent / "formats" / room / f"test_{name}.py").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    assert sorted(set(names)) == sorted(names)
    for name in names:
        assert getattr(module, name) is not None
    assert set(names) <= set(dir(module))


def test_completion_shows_public_names_alone():
    assert set(cryotypes.__all__) == set(dir(cryotypes)) - {"__version__"}
    assert not {"lazy", "TYPE_CHECKING", "annotations"}.intersection(dir(cryotypes))


def test_names_are_found_in_an_archive_without_sources(tmp_path):
    """As frozen programs hold packages: byte code alone."""
    with zipfile.PyZipFile(tmp_path / "frozen.zip", "w") as archive:
        archive.writepy(str(SOURCE))
    code = "import cryotypes as ct; print(ct.PoseSet([[1, 2, 3]]).__len__(), ct.__file__, *dir(ct))"
    path = os.pathsep.join([str(tmp_path / "frozen.zip"), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    count, file, *names = run.stdout.split()
    assert count == "1"
    assert "frozen.zip" in file
    assert names == dir(cryotypes)


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="PosSet"):
        _ = cryotypes.PosSet


def loaded_by(code: str) -> set[str]:
    """Third-party packages that are loaded after running some code in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {
        name
        for name in result.stdout.splitlines()[-1].split()
        if name not in sys.stdlib_module_names and not name.startswith(("_", "cryotypes"))
    }


@pytest.mark.parametrize(
    "code",
    [
        "import cryotypes",
        "import cryotypes as ct\nct.PoseSet([[1, 2, 3]]).source = 'a'\nct.Image([[1]])",
        "from cryotypes.poseset import PoseSetProtocol\nfrom cryotypes.image import ImageProtocol",
        "import cryotypes.errors, cryotypes.names, cryotypes.loss",
        "from cryotypes.projectionmodel import ProjectionModelDataLabels",
    ],
)
def test_light_imports_load_nothing_outside_the_standard_library(code):
    before = loaded_by("")  # what the environment itself loads at start-up
    assert loaded_by(code) - before == set()


def test_the_command_line_starts_with_click_alone():
    before = loaded_by("")
    assert loaded_by("import cryotypes.cli") - before <= {"click", "colorama"}


ROOMS = {"poses": "poses", "tilts": "projection_model", "images": "image"}


def test_rooms_hold_the_formats_of_their_kind():
    """In a room whatever has no underscore is a format, and every format stands in the list."""
    found = {
        f"{room}.{path.stem}"
        for room in ROOMS
        for path in (SOURCE / "formats" / room).iterdir()
        if not path.name.startswith("_")
    }
    assert sorted(BUILT_IN) == sorted(found)
    for name in BUILT_IN:
        room = name.split(".")[0]
        assert importlib.import_module(f"cryotypes.formats.{name}").FORMAT.kind == ROOMS[room]


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(("cryotypes", *parts)).removesuffix(".__init__")


def imported_modules(path: Path, known: set[str]):
    """The modules of cryotypes that a file imports, wherever in it; names of modules count."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(up if node.level else []), *([node.module] if node.module else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            yield from inner & known or {base} & known


def test_no_modules_import_each_other():
    """No circle among modules; a package's ``__init__`` that only hands on names is a door."""
    paths = {module_of(path): path for path in SOURCE.rglob("*.py")}
    doors = {m for m, p in paths.items() if p.name == "__init__.py" and "lazy(" in p.read_text()}
    imports = {
        module: set(imported_modules(path, set(paths))) - doors for module, path in paths.items()
    }
    sorter = graphlib.TopologicalSorter({m: i for m, i in imports.items() if m not in doors})
    sorter.prepare()  # raises a CycleError that names the circle


@pytest.mark.parametrize("path", sorted((SOURCE / "formats/shared").glob("*.py")), ids=str)
def test_what_formats_share_knows_no_format(path):
    known = {module_of(p) for p in SOURCE.rglob("*.py")}
    rooms = tuple(f"cryotypes.formats.{room}" for room in ROOMS)
    assert [m for m in imported_modules(path, known) if m.startswith(rooms)] == []
