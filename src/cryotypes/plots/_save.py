"""Save figures as files are written everywhere here: aside, then renamed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure


def save_figure(
    figure: Figure, path: str | PathLike[str], overwrite: bool = False, dpi: float | None = None
) -> None:
    """Save a figure; the suffix says how (.png, .pdf, .svg, …).

    Parameters
    ----------
    figure : matplotlib Figure
    path : path
    overwrite : bool
        Replace an existing file; otherwise FileExistsError.
    dpi : float, optional
        Pixels per inch, by default the figure's own.

    Raises
    ------
    ValueError
        If matplotlib does not know the suffix.
    """
    from cryotypes.formats import writing

    path = Path(path)
    kind = path.suffix[1:].lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(f"{path}: expected a suffix of {', '.join(sorted(known))}")
    with writing(path, overwrite) as temporary:
        if kind == "png":
            _save_palette(figure, temporary, dpi or figure.dpi)
        else:
            figure.savefig(temporary, format=kind, dpi=dpi or figure.dpi)


def _save_palette(figure: Figure, path: Path, dpi: float) -> None:
    """Save as PNG with 256 colours: noisy images are a quarter as large as in true colour."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    with Image.open(buffer) as image:
        # an octree keeps rare colours, such as that of one particle outside; median cut does not
        octree, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
        palette = image.convert("RGB").quantize(256, method=octree, dither=dither)
        palette.save(path, format="PNG", optimize=True, dpi=(dpi, dpi))
