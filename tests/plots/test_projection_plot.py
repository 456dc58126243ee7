from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, LineCollection  # noqa: TID253
from matplotlib.colors import to_rgba  # noqa: TID253
from matplotlib.patches import Polygon, Rectangle  # noqa: TID253
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.errors import GuessWarning, MissingPackageError
from cryotypes.plots import plot_projection, save_figure
from cryotypes.plots._particles import _OUTSIDE

SIZE = (60, 40)  # xy of the tilt images


def model_of(angles, **more):
    columns = {"rotation_x": 0.0, "rotation_y": angles, "rotation_z": 0.0, "dx": 0.0, "dy": 0.0}
    ids = {"experiment_id": "TS_01", "pixel_spacing": 10.0, "source": ""}
    return pd.DataFrame({**columns, **ids, **more})


def project(angles=(-60.0, 0.0, 60.0), position=((10, 5, 3), (50, 30, 9)), size=SIZE, **options):
    orientation = options.pop("orientation", None)
    poses = ct.PoseSet(position, None, orientation, "TS_01", 10.0)
    options = {"tomogram_dimensions": (60, 40, 20), **options}
    model = model_of(list(angles), **options.pop("columns", {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return ct.project(poses, model, tilt_image_dimensions=size, **options)


def without(projection):
    """A projection into no images."""
    none = {"position": projection.position[:0], "depth": projection.depth[:0]}
    return dataclasses.replace(projection, model=projection.model[:0], **none)


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def circles(axes):
    (found,) = [c for c in axes.collections if isinstance(c, EllipseCollection)]
    return found


def diameters(axes):
    return 2 * circles(axes)._widths  # public only since matplotlib 3.9


def lines(axes):
    return [c for c in axes.collections if isinstance(c, LineCollection)]


def test_one_panel_a_tilt_with_its_angle():
    figure = plot_projection(project())
    titles = [axes.get_title() for axes in panels(figure)]
    assert titles == ["tilt 0, −60.0°", "tilt 1, +0.0°", "tilt 2, +60.0°"]
    assert figure.get_suptitle() == "TS_01: 2 particles"
    assert figure.get_figwidth() * figure.dpi == 1200
    assert plot_projection(project(), title="Mine").get_suptitle() == "Mine"
    assert plot_projection(project(), title="").get_suptitle() == ""


def test_points_are_at_their_places_with_y_up():
    projection = project()
    figure = plot_projection(projection)
    for tilt, axes in enumerate(panels(figure)):
        np.testing.assert_allclose(circles(axes).get_offsets(), projection.position[tilt])
    axes = panels(figure)[1]
    np.testing.assert_allclose(circles(axes).get_offsets(), [[10, 5], [50, 30]])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < -0.5 < 59.5 < right
    assert bottom < -0.5 < 39.5 < top
    assert axes.get_aspect() == 1


def test_outline_where_images_are_absent():
    for axes in panels(plot_projection(project())):
        (outline,) = [p for p in axes.patches if isinstance(p, Rectangle)]
        assert outline.get_bbox().extents.tolist() == [-0.5, -0.5, 59.5, 39.5]


def test_images_lie_under_their_particles():
    data = np.zeros((3, 40, 60), np.float32)
    data[1, 5, 10] = 1  # where the first particle is
    axes = panels(plot_projection(project(), ct.Image(data, "TS_01", 10.0, stack=True)))[1]
    (image,) = axes.images
    assert image.origin == "lower"
    assert image.get_extent() == [-0.5, 59.5, -0.5, 39.5]
    assert np.argwhere(image.get_array() == 1).tolist() == [[5, 10]]
    # on the canvas: the bright pixel is under the circle, below and left of the middle
    x, y = axes.transData.transform(circles(axes).get_offsets()[0])
    middle = axes.transData.transform((29.5, 19.5))
    assert x < middle[0]
    assert y < middle[1]


def test_large_images_are_reduced_by_averaging():
    data = np.random.default_rng(0).normal(size=(1, 1002, 2003)).astype(np.float32)
    data[0, :4, :4] = 100
    projection = project((0.0,), size=(2003, 1002))
    (axes,) = panels(plot_projection(projection, data))
    (image,) = axes.images
    assert image.get_array().shape == (501, 1001)
    assert image.get_extent() == [-0.5, 2001.5, -0.5, 1001.5]
    assert (image.get_array()[:2, :2] == 100).all()


def test_only_the_images_shown_are_read():
    class Lazy:
        shape, ndim, dtype = (40, 40, 60), 3, np.dtype(np.float32)

        def __init__(self):
            self.read = []

        def __len__(self):
            return 40

        def __getitem__(self, tilt):
            self.read.append(tilt)
            return np.full((40, 60), tilt, np.float32)

        def __array__(self, *_, **__):
            raise AssertionError("the whole stack is read")

    lazy = Lazy()
    figure = plot_projection(project(np.linspace(-60, 57, 40)), lazy)
    assert len(panels(figure)) == len(lazy.read) == 6
    low, high = panels(figure)[0].images[0].get_clim()
    assert 0 <= low < 2
    assert 37 < high <= 39
    assert all(axes.images[0].get_clim() == (low, high) for axes in panels(figure))


def test_default_tilts_are_spread_and_hold_the_untilted_one():
    angles = np.array([0.4, 3, -3, 6, -6, 9, -9, 12, -12, 15, -15, 18, -18])  # dose-symmetric
    chosen = [
        int(a.get_title().split()[1].rstrip(",")) for a in panels(plot_projection(project(angles)))
    ]
    assert len(chosen) == 6
    assert 0 in chosen
    shown = angles[chosen]
    assert shown.tolist() == sorted(shown)
    assert (shown[0], shown[-1]) == (-18, 18)
    assert np.diff(shown).max() < 10


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 41])
@pytest.mark.parametrize("first", [-60.0, 0.0, -90.0])
def test_number_of_default_tilts(count, first):
    figure = plot_projection(project(first + np.arange(count) * 2.0))
    assert min(count, 5) <= len(panels(figure)) <= 6


def test_tilts_can_be_chosen():
    figure = plot_projection(project(), tilts=[2, -3], columns=1)
    assert [axes.get_title()[:6] for axes in panels(figure)] == ["tilt 2", "tilt 0"]
    with pytest.raises(ValueError, match="tilts: expected numbers from 0 to 2, found 3"):
        plot_projection(project(), tilts=[3])
    with pytest.raises(ValueError, match=r"tilts: .* found none"):
        plot_projection(project(), tilts=[])
    with pytest.raises(ValueError, match="no tilt image"):
        plot_projection(without(project()))


def test_empty_panels_are_hidden():
    figure = plot_projection(project(np.arange(4) * 10.0))
    assert len(panels(figure)) == 4
    hidden = [axes for axes in figure.axes if not axes.axison]
    assert len(hidden) == 2
    # the third column ends in the first row: its ticks are there
    assert panels(figure)[2].get_xlabel() == "x (px)"


def test_particles_outside_are_red_and_counted():
    projection = project((0.0,), position=[(10, 5, 3), (66, 5, 3), (500, 5, 3)])
    (axes,) = panels(plot_projection(projection))
    assert axes.get_title() == "tilt 0, +0.0°, 2 outside"
    red = [tuple(c) == to_rgba(_OUTSIDE) for c in circles(axes).get_edgecolors()]
    assert red == [False, True, True]
    assert 62 < axes.get_xlim()[1] < 80  # room for near ones; far ones do not shrink the image


def test_colour_is_depth():
    projection = project((0.0,), position=[(10, 5, 1), (20, 5, 18), (30, 5, 1)])
    figure = plot_projection(projection)
    low, high, same = circles(panels(figure)[0]).get_edgecolors()
    assert (low == same).all()
    assert high[:3].sum() > low[:3].sum()  # brighter is higher
    assert figure.axes[-1].get_ylabel() == "depth along the beam (px)"


def test_z_axes_are_lines_where_orientations_are_known():
    assert not lines(panels(plot_projection(project()))[0])
    orientation = Rotation.from_euler("y", [[90], [0]], degrees=True)  # z to x; z stays z
    axes = panels(plot_projection(project(orientation=orientation), box=10))[1]
    (found,) = lines(axes)
    one, other = found.get_segments()
    np.testing.assert_allclose(one, [[10, 5], [18, 5]], atol=1e-9)
    np.testing.assert_allclose(other, [[50, 30], [50, 30]], atol=1e-9)
    np.testing.assert_allclose(diameters(axes), 10)


def test_many_particles_are_small_dots():
    rng = np.random.default_rng(0)
    many = project((0.0,), position=rng.uniform(0, 40, (2000, 3)))
    few = project((0.0,), position=rng.uniform(0, 40, (20, 3)))
    crowd, sparse = (panels(plot_projection(p))[0] for p in (many, few))
    assert diameters(crowd).max() < 0.3 * diameters(sparse).min()
    dots, rings = circles(crowd), circles(sparse)
    assert len(dots.get_facecolors()) == 2000
    assert len(rings.get_facecolors()) == 0
    assert dots.get_edgecolors()[0, 3] < 1


def test_no_particles():
    figure = plot_projection(project(position=np.zeros((0, 3))))
    assert len(panels(figure)) == 3
    assert figure.get_suptitle() == "TS_01: 0 particles"


def test_unknown_size_counts_from_the_centre_without_outline():
    figure = plot_projection(project(size=None))
    axes = panels(figure)[1]
    np.testing.assert_allclose(circles(axes).get_offsets(), [[-20, -15], [20, 10]])
    assert not axes.patches
    assert axes.get_xlabel() == "x from the image centre (px)"
    assert panels(figure)[0].get_ylabel() == "y from the image centre (px)"
    assert axes.get_xlim()[0] < -20
    assert axes.get_xlim()[1] > 20


def test_unknown_size_shows_the_shadow_of_the_tomogram():
    poses = ct.PoseSet([(10, 5, 3)], None, None, "TS_01", 20.0)  # binned by 2
    model = model_of([0.0, 90.0], dx=[3.0, 0.0])
    model.attrs["tomogram_dimensions"] = {"TS_01": (60, 40, 20)}
    with pytest.warns(GuessWarning, match="size of the tilt images is unknown"):
        projection = ct.project(poses, model)
    flat, upright = panels(plot_projection(projection))
    (outline,) = [p for p in flat.patches if isinstance(p, Polygon)]
    low, high = outline.get_xy().min(axis=0), outline.get_xy().max(axis=0)
    np.testing.assert_allclose([low, high], [[-27.5, -20.5], [32.5, 19.5]])
    (outline,) = [p for p in upright.patches if isinstance(p, Polygon)]
    low, high = outline.get_xy().min(axis=0), outline.get_xy().max(axis=0)
    np.testing.assert_allclose([low, high], [[-10.5, -20.5], [9.5, 19.5]], atol=1e-9)


def test_shadow_of_a_tomogram_that_the_particles_know():
    poses = ct.PoseSet([(10, 5, 3)], None, None, "TS_01", 20.0)
    poses.metadata = {"tomogram": {"dimensions": (60, 40, 20), "pixel_spacing": 10.0}}
    with pytest.warns(GuessWarning, match="size of the tilt images is unknown"):
        projection = ct.project(poses, model_of([0.0]))
    (axes,) = panels(plot_projection(projection))
    (outline,) = axes.patches
    np.testing.assert_allclose(outline.get_xy().min(axis=0), [-30.5, -20.5])


def test_unknown_size_with_images_puts_their_middle_at_0():
    data = np.zeros((3, 41, 60), np.float32)
    axes = panels(plot_projection(project(size=None), data))[1]
    assert axes.images[0].get_extent() == [-30.5, 29.5, -20.5, 20.5]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 40, 60)), "expected 3, one for each tilt, found 2"),
        (np.zeros((3, 60, 40)), r"tilt 0: expected an image of 60 × 40 pixels .* \(60, 40\)"),
        (np.zeros((3, 2, 40, 60)), "expected an image of 60 × 40 pixels"),
        ([np.zeros((40, 60)), np.zeros((40, 60)), np.zeros((40, 61))], "tilt 2: expected an image"),
    ],
)
def test_images_that_do_not_fit(images, message):
    with pytest.raises(ValueError, match=message):
        plot_projection(project(), images)


def test_constant_and_missing_pixels_are_drawn(tmp_path):
    data = np.zeros((3, 40, 60), np.float32)
    data[0, 0, 0] = np.nan
    save_figure(plot_projection(project(), data), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"drawing needs .*cryotypes\[plots\]"):
        plot_projection(project())


def test_nothing_needs_a_display():
    """In a process of its own: whatever else is loaded here may load pyplot."""
    code = (
        "import sys\nfrom tests.plots.test_projection_plot import plot_projection, project\n"
        "plot_projection(project())\nassert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".PNG", ".jpg"])
def test_saved_as_the_suffix_says(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    save_figure(plot_projection(project()), path)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml", ".jpg": b"\xff\xd8"}
    assert path.read_bytes().startswith(starts[suffix.lower()])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_saving_does_not_replace_unless_told(tmp_path):
    from PIL import Image

    path = tmp_path / "picture.png"
    path.write_text("mine")
    figure = plot_projection(project())
    with pytest.raises(FileExistsError):
        save_figure(figure, path)
    assert path.read_text() == "mine"
    save_figure(figure, path, overwrite=True, dpi=50)
    with Image.open(path) as picture:
        assert picture.width == 600
    with pytest.raises(ValueError, match="expected a suffix of"):
        save_figure(figure, tmp_path / "picture.xyz")
