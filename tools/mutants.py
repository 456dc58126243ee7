"""Change one operator of a module at a time, and list the changes that its tests do not notice.

    python tools/mutants.py                     # conventions/, against tests/conventions
    python tools/mutants.py src/cryotypes/geometry/_pixels.py --tests tests/geometry/test_pixels.py

Signs, + and -, comparisons, constants and indices, the order of arguments, conditions. No file is
touched: each run, a process of its own, imports the changed module instead. Exits with 1 if a
change survives that is not in mutants_equivalent.txt: those that change nothing, and why.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple

# No threads, which a fork would lose, and the same examples every time; before numpy's import
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", CI="1")

import pytest

# Imported once, and there in every run: most of a run's time
for name in ("hypothesis.extra.numpy", "pandas", "scipy.spatial.transform", "zarr.testing"):
    importlib.import_module(name)

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"

EQUIVALENT = set(Path(__file__).with_name("mutants_equivalent.txt").read_text().splitlines())
SYMMETRIC = ("min", "max", "np.hypot")

OPERATORS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Div, ast.Mult],
    ast.Mod: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
}
PAIRS = [("sin", "cos"), ("min", "max"), ("any", "all"), ("Rx", "Ry"), ("floor", "ceil")]
NAMES = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
SKIPPED = {"annotation", "returns", "decorator_list"}


class Mutant(NamedTuple):
    """One change of one file."""

    path: Path
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        return f"{self.path.name}: {self.before} → {self.after}"


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """Give what may stand in a node's place."""
    yield from (operator() for operator in OPERATORS.get(type(node), ()))
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            yield operand
        case ast.BinOp(left, ast.Sub() | ast.Div() | ast.MatMult() as op, right):
            yield ast.BinOp(right, op, left)
        case ast.Call(func, args, keywords) if ast.unparse(func) not in SYMMETRIC:
            for i in range(len(args) - 1):
                if _is_text(args[i]) != _is_text(args[i + 1]):  # as mypy sees
                    continue
                swapped = [*args[:i], args[i + 1], args[i], *args[i + 2 :]]
                yield ast.Call(func, swapped, keywords)
        case ast.IfExp(test, body, other):
            yield ast.IfExp(test, other, body)
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name], node.ctx)
        case ast.Attribute(value, name) if name in NAMES:
            yield ast.Attribute(value, NAMES[name], node.ctx)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_silent(node: ast.AST) -> bool:
    """Tell what changes no number: messages, types, checks that never fail; -1 but for its sign."""
    match node:
        case ast.JoinedStr() | ast.If(test=ast.Name("TYPE_CHECKING")):
            return True
        case ast.keyword("strict" | "stacklevel"):
            return True
        case ast.UnaryOp(ast.USub(), ast.Constant(1)):
            return True
    return False


def changes(node: ast.AST, statement: ast.stmt | None = None) -> Iterator[ast.stmt]:
    """Change a tree in place, one node after the other; give the statement that is changed."""
    if _is_silent(node):
        return
    if isinstance(node, ast.stmt):
        statement = node
    if isinstance(node, ast.If) and not isinstance(node.test, ast.Compare):
        test, node.test = node.test, ast.UnaryOp(ast.Not(), node.test)
        yield node
        node.test = test
    for field, value in ast.iter_fields(node):
        if field in SKIPPED:
            continue
        for i, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST):
                continue
            for other in alternatives(child):
                if ast.dump(other) == ast.dump(child) or statement is None:
                    continue
                changed = [*value[:i], other, *value[i + 1 :]] if isinstance(value, list) else other
                setattr(node, field, changed)
                yield statement
                setattr(node, field, value)
            yield from changes(child, statement)


def mutants(path: Path) -> Iterator[Mutant]:
    """Give every mutant of a module."""
    tree = ast.parse(path.read_text())
    original = deepcopy(tree)
    places = {
        (s.lineno, s.col_offset): _first_line(s)
        for s in ast.walk(original)
        if isinstance(s, ast.stmt)
    }
    for statement in changes(tree):
        before = places[statement.lineno, statement.col_offset]
        source = ast.unparse(ast.fix_missing_locations(tree))
        yield Mutant(path, statement.lineno, before, _first_line(statement), source)


def _first_line(statement: ast.stmt) -> str:
    return ast.unparse(ast.fix_missing_locations(statement)).split("\n", 1)[0]


def run(path: Path, source: str, tests: list[str]) -> int:
    """Run the tests in a process of their own, with this source for that module."""
    if pid := os.fork():
        return pid
    load = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> Any:
        changed = Path(self.path) == path
        return compile(source, path, "exec") if changed else load(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    sys.path.insert(0, str(SOURCE))
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    os._exit(int(pytest.main(["-xq", "--assert=plain", "-pno:cacheprovider", *tests])))


def outcomes(
    found: list[tuple[Path, str]], tests: list[str], jobs: int, limit: float
) -> Iterator[tuple[int, bool]]:
    """Say of each source, as they end, whether the tests pass within a limit in seconds."""
    running: dict[int, tuple[int, float]] = {}
    waiting = list(enumerate(found))[::-1]
    while running or waiting:
        while waiting and len(running) < jobs:
            i, (path, source) = waiting.pop()
            running[run(path, source, tests)] = i, time.monotonic() + limit
        for pid, (i, deadline) in list(running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                yield i, status == 0
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def main() -> int:
    """Run all mutants, and print what survives."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", default=["src/cryotypes/conventions"])
    parser.add_argument("--tests", nargs="+", default=["tests/conventions"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    roots = [(ROOT / module).resolve() for module in args.modules]
    paths = [path for root in roots for path in (sorted(root.glob("*.py")) or [root])]
    tests = [str(ROOT / test) for test in args.tests]
    found = [mutant for path in paths for mutant in mutants(path)]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        start = time.monotonic()
        if not next(outcomes([(paths[0], paths[0].read_text())], tests, 1, 3600))[1]:
            parser.error("the tests fail without any change")
        limit = 30 + 10 * (time.monotonic() - start)
        broken = [path for path in paths if path.name != "__init__.py"]
        for i, alive in outcomes([(path, "1 / 0") for path in broken], tests, args.jobs, limit):
            if alive:
                parser.error(f"the tests do not import {broken[i].name}")
        sources = [(mutant.path, mutant.source) for mutant in found]
        new = known = 0
        for i, alive in outcomes(sources, tests, args.jobs, limit):
            mutant = found[i]
            if alive and mutant.key in EQUIVALENT:
                known += 1
            elif alive:
                new += 1
                where = f"{mutant.path.relative_to(ROOT)}:{mutant.line}"
                print(f"{where}\n{mutant.key}", flush=True)
    print(f"{len(found)} mutants, {new} survive, {known} more change nothing")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
