"""Reads files in a process of its own, because they may hang it, fill the memory or kill it.

A line of JSON comes, a line of JSON goes. ``python -m tests.fuzz.child MATERIALS DIRECTORY``.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import random
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import cryotypes as ct
from cryotypes.errors import CryotypesWarning, FormatError, MissingPackageError
from cryotypes.image import ImageProtocol, validate_image
from cryotypes.poseset import PoseSetProtocol, validate_poseset
from cryotypes.projectionmodel import validate_projection_model

from .material import Material, saved
from .mutate import mutated

MUCH = 1 << 29  # bytes that a small file may take, or may claim
SOURCE = str(Path(ct.__file__).parent)


def judge(path: Path, format: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Read everything; tell what came of it, and whether that may leave a reader."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    fault = None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for result in ct.read(path, format=format, **options):
                _validate(result)
        verdict, message = "read", ""
        strange = [w for w in caught if not issubclass(w.category, CryotypesWarning)]
        if strange:
            fault = {"kind": f"warns: {strange[0].category.__name__}", "where": ""}
            message = str(strange[0].message)
    except (FormatError, MissingPackageError) as error:
        verdict, message = "refused", f"{type(error).__name__}: {error}"
        _ = str(error).encode("utf-8", "backslashreplace")
    except BaseException as error:  # the panics of Rust are no Exceptions
        verdict, message = "refused", f"{type(error).__name__}: {error}"
        if not (isinstance(error, OSError) and str(path.parent) in str(error)):
            fault = {"kind": type(error).__name__, "where": _where(error)}
    used = resource.getrusage(resource.RUSAGE_SELF)
    took, memory = used.ru_utime - start, (used.ru_maxrss - before) * 1024
    if memory > MUCH and fault is None:
        fault = {"kind": "memory", "where": f"{memory >> 20} MiB"}
    return {"verdict": verdict, "message": message[:500], "fault": fault, "took": took}


def _validate(result: Any) -> None:
    if isinstance(result, PoseSetProtocol):
        validate_poseset(result)
    elif isinstance(result, ImageProtocol):
        ndim: Any = result.data.ndim
        if np.prod(result.data.shape, dtype=float) * result.data.dtype.itemsize < MUCH / 8:
            np.asarray(result.data)
        else:  # as large as it says, and a slab of it is all that is asked for
            np.asarray(result.data[(slice(0, 1),) * ndim])
        validate_image(result, ndim=ndim)
    else:
        validate_projection_model(result)


def _where(error: BaseException) -> str:
    """Name the innermost line of this package."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(SOURCE)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""


def put(files: dict[str, bytes], material: Material, directory: Path) -> None:
    """Write what has changed since the material was put there; take away what is gone."""
    for name in {*files, *material.files}:
        path = directory / name
        if name not in files:
            path.unlink()
        elif files[name] is not material.files.get(name):
            path.write_bytes(files[name])


def back(files: dict[str, bytes], material: Material, directory: Path) -> None:
    for name, content in material.files.items():
        if files.get(name) is not content:
            (directory / name).write_bytes(content)


def main() -> None:
    materials, directory = saved(Path(sys.argv[1])), Path(sys.argv[2])
    logging.disable(logging.CRITICAL)
    faulthandler.register(signal.SIGUSR1, file=(directory / "trace").open("w"), all_threads=False)
    whole: dict[int, Path] = {}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    for material in materials[:1]:  # loads the formats
        judge(material.put(directory / "first"), None, material.options)
    limited = False
    out.write(json.dumps({"ready": True}) + "\n")
    out.flush()
    for line in sys.stdin:
        ask = json.loads(line)
        if "path" in ask:
            answer = judge(Path(ask["path"]), ask.get("format"), ask.get("options", {}))
        else:
            if not limited:
                _limit()
                limited = True
            number = ask["material"]
            material = materials[number]
            place = directory / str(number)
            if number not in whole:
                whole[number] = material.put(place)
                ours = judge(whole[number], material.format, material.options)
                assert ours["verdict"] == "read", (material.name, ours)
            files = mutated(material, ask["seed"], ask.get("steps"))
            put(files, material, place)
            asked = random.Random(ask["seed"]).random() < 0.6
            format = material.format if asked else None
            options = material.options if asked else {}
            answer = judge(whole[number], format, options)
            back(files, material, place)
        out.write(json.dumps(answer) + "\n")
        out.flush()


def _limit() -> None:
    """Let no input take the machine's memory: beyond this, MemoryError."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + 4 * MUCH
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main()
