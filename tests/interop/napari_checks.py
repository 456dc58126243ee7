"""What napari makes of our OME-Zarr; test_images.py runs this in the environment that has it."""

import numpy as np
import pytest
from napari.layers import Image as Layer
from napari_ome_zarr import napari_get_reader

import cryotypes
from cryotypes import Image

DATA = np.random.default_rng(5).normal(size=(9, 20, 30)).astype(np.float32)
OURS = {
    "volume": Image(DATA, "volume", 2.7),
    "stack": Image(DATA, "stack", 2.7, stack=True),
    "image": Image(DATA[0], "image", 2.7),
    "unknown": Image(DATA, "unknown", 0.0),
}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("kind", OURS)
def test_a_layer(tmp_path, kind, version):
    """The pixels, how far apart they are, and in which unit."""
    image, path = OURS[kind], str(tmp_path / f"{kind}.zarr")
    cryotypes.write(image, path, version=version)
    ((data, options, layer_type),) = napari_get_reader(path)(path)
    assert layer_type == "image"
    layer = Layer(data, multiscale=True, **options)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), image.data, strict=True)
    ndim, spacing = image.data.ndim, image.pixel_spacing
    scale, units = [spacing or 1.0] * ndim, ["angstrom" if spacing else "pixel"] * ndim
    if image.stack:
        scale[0], units[0] = 1.0, "pixel"
    assert layer.scale.tolist() == scale
    assert [str(unit) for unit in layer.units] == units
    assert layer.axis_labels == tuple("zyx"[-ndim:])
    assert not layer.translate.any()
    assert [np.shape(level) for level in layer.data] == [np.shape(level) for level in data]
    assert len(data) == 3
