"""Files that are read by no format here and known all the same: what they are, what to do.

Every row is what a file is, what can be done about it, and what it is known by: how its bytes
begin, or any of some words (blocks and labels of a STAR file) in its head. Names of RELION's blocks
and labels are from its source (src/metadata_label.h and the programs that write them) and from
files of RELION 3 to 5; the other bytes are those of file(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .star import find_block_names

if TYPE_CHECKING:
    from collections.abc import Collection

    from .declaration import Head


@dataclass(frozen=True)
class Stranger:
    """A kind of file that is not read.

    Parameters
    ----------
    what, advice : str
        As in "this is {what}; {advice}".
    marks : tuple of bytes
        How the file begins, or words of a STAR file of which one must be there. Words that begin
        with ``data_`` are blocks, and settle what the file is whatever else stands in it.
    """

    what: str
    advice: str
    marks: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"this is {self.what}; {self.advice}"


_UNPACK = "unpack it, and read what is in it"
_PICTURE = "read the data it was made of (MRC, TIFF)"
_PARTICLES = "read the particles of the job (…_data.star, particles.star)"

BEGINNINGS = (
    Stranger(
        "a Git-LFS pointer, which stands in for a file that was not downloaded",
        "fetch the file itself with 'git lfs pull'",
        (b"version https://git-lfs.github.com/spec/",),
    ),
    Stranger(
        "a git-annex pointer, which stands in for a file that was not downloaded",
        "fetch the file itself with 'git annex get'",
        (b"/annex/objects/", b"../.git/annex/objects/"),
    ),
    Stranger(
        "a web page (HTML), which servers send instead of a file that needs a login or is gone",
        "look at it in a browser, and download the file again",
        (b"<!doctype html", b"<html"),
    ),
    Stranger("compressed with zstd", "unpack it first: 'zstd -d'", (b"\x28\xb5\x2f\xfd",)),
    Stranger("compressed with xz", "unpack it first: 'xz -d'", (b"\xfd7zXZ\0",)),
    Stranger("compressed with lz4", "unpack it first: 'lz4 -d'", (b"\x04\x22\x4d\x18",)),
    Stranger(
        "a zip archive, or a document that is one (.xlsx, .docx, .npz)",
        f"{_UNPACK}; save a spreadsheet as .csv",
        (b"PK\x03\x04",),
    ),
    Stranger("a 7z archive", _UNPACK, (b"7z\xbc\xaf\x27\x1c",)),
    Stranger("a rar archive", _UNPACK, (b"Rar!\x1a\x07",)),
    Stranger("a PDF document", "read the data it shows", (b"%pdf-",)),
    Stranger("a picture (PNG)", _PICTURE, (b"\x89png\r\n",)),
    Stranger("a picture (JPEG)", _PICTURE, (b"\xff\xd8\xff",)),
    Stranger("a picture (GIF)", _PICTURE, (b"gif87a", b"gif89a")),
    Stranger(
        "a MATLAB file",
        "write its table as text (Dynamo: dwrite to .tbl) or its volume as MRC or EM",
        (b"matlab 5.0 mat-file",),
    ),
    Stranger(
        "a NumPy array without named fields",
        "write it as .csv with the columns x, y, z, or as MRC",
        (b"\x93numpy",),
    ),
    Stranger(
        "a Python pickle, which is not opened because it can run any code",
        "read the file it was made of (for cryoDRGN, the particles' .star or .cs)",
        (b"\x80\x03", b"\x80\x04\x95", b"\x80\x05\x95"),
    ),
    Stranger(
        "a table of defocus fits (CTFFIND, AreTomo)",
        "read the alignment beside it (.aln, .xf)",
        (b"# output from ctffind", b"# columns: #1 micro", b"# columns: #1 - micro"),
    ),
    Stranger(
        "AreTomo3's table of how good its tilt series are",
        "read their alignments (.aln)",
        (b"tilt_series,thickness(pix)",),
    ),
    Stranger("a database (SQLite)", "export its tables as .csv", (b"sqlite format 3\0",)),
    Stranger("text in UTF-16", "save it as UTF-8", (b"\xff\xfe", b"\xfe\xff")),
)

STAR = (
    Stranger(
        "RELION's motion correction of one movie",
        "no particles are in it: read the particles, or the tilt series (tomograms.star)",
        (b"data_global_shift", b"data_local_motion_model", b"_rlnMotionModelVersion"),
    ),
    Stranger(
        "RELION's grid of angles that a refinement samples",
        _PARTICLES,
        (b"data_sampling_general", b"data_sampling_directions"),
    ),
    Stranger(
        "RELION's model file (references, resolution and noise of a refinement)",
        _PARTICLES,
        (b"data_model_general", b"data_model_classes"),
    ),
    Stranger(
        "a RELION job file, the settings of a job",
        "read the files that the job wrote",
        (b"data_job", b"data_joboptions_values", b"data_joboptions_full_definition"),
    ),
    Stranger(
        "RELION's pipeline, the list of a project's jobs and files",
        "read one of the files it lists",
        (b"data_pipeline_general", b"data_pipeline_processes", b"data_pipeline_nodes"),
    ),
    Stranger(
        "a RELION schedule (scheme) of jobs",
        "read the files that its jobs wrote",
        (b"data_schedule_general", b"data_scheme_general"),
    ),
    Stranger(
        "RELION's input of an external reconstruction",
        "read the map that it makes",
        (b"data_external_reconstruct_general",),
    ),
    Stranger(
        "an optimiser file that names no particles",
        _PARTICLES,
        (b"data_optimiser_general",),
    ),
    Stranger(
        "RELION's post-processing result (resolution, FSC and Guinier curves)",
        "read the map beside it (postprocess.mrc)",
        (b"_rlnFinalResolution",),
    ),
    Stranger(
        "a Fourier shell correlation (FSC)",
        "read the maps that it compares",
        (b"_rlnFourierShellCorrelation", b"_rlnFourierShellCorrelationCorrected"),
    ),
    Stranger(
        "the motion of single particles (Bayesian polishing)",
        "read the particles that it belongs to",
        (b"_rlnParticleNumber",),
    ),
    Stranger(
        "RELION's list of manifolds, from which particles are sampled",
        "read the particles that were sampled",
        (b"_rlnTomoManifoldType",),
    ),
    Stranger(
        "a list of bodies of a multi-body refinement",
        "read the masks that it names",
        (b"_rlnBodyMaskName",),
    ),
    Stranger("the MTF of a detector", "there is nothing in it to convert", (b"_rlnMtfValue",)),
    Stranger(
        "a list of 2D class averages or references",
        "read the images that it names (…_classes.mrcs), or the particles (…_data.star)",
        (b"_rlnReferenceImage",),
    ),
    Stranger(
        "a list of micrographs without particles",
        "read the particles picked on them, or one of the micrographs",
        (b"data_micrographs",),
    ),
    Stranger(
        "a list of movies without particles",
        "read the particles picked on them, or one of the movies",
        (b"data_movies", b"_rlnMicrographMovieName"),
    ),
    Stranger(
        "a list of micrographs without particles",
        "read the particles picked on them, or one of the micrographs",
        (b"_rlnMicrographName",),
    ),
    Stranger(
        "an atomic model (mmCIF)",
        "there are no particles or images in it",
        (b"_atom_site.id", b"_atom_site.group_PDB"),
    ),
)
_LISTED = 4  # blocks, and labels, that an error names


def stranger(head: Head) -> str | None:
    """Say what a file is that no format recognises, if that is known."""
    return by_its_beginning(head) or _by_its_words(head)


def by_its_beginning(head: Head) -> str | None:
    """Say what a file is that begins as no data do."""
    start = head.data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for row in BEGINNINGS:
        if any(head.data.startswith(m) or start.startswith(m.lower()) for m in row.marks):
            return str(row)
    if head.data[257:262] == b"ustar":
        return f"this is a tar archive; {_UNPACK}"
    return None


def _by_its_words(head: Head) -> str | None:
    blocks = find_block_names(head.data.replace(b"\r\n", b"\n"))
    if not blocks:
        return None
    for row in STAR:
        if not head.words.isdisjoint(row.marks):
            return str(row)
    found = [w.decode("utf-8", errors="replace") for w in head.data.split() if w[:1] == b"_"]
    named = ", ".join([*(f"data_{name}" for name in blocks[:_LISTED]), *found[:_LISTED]])
    return f"this is a STAR file whose blocks and labels are not known here ({named}, …)"


def other_star(words: Collection[bytes]) -> str | None:
    """Say what a STAR file is by its blocks' names alone, whatever labels stand in it."""
    for row in STAR:
        if any(mark in words for mark in row.marks if mark.startswith(b"data_")):
            return str(row)
    return None
