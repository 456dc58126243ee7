"""Images: an array (zyx) with its metadata."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._dask import to_dask as to_dask
    from ._protocol import Image as Image
    from ._protocol import ImageProtocol as ImageProtocol
    from ._protocol import MicrographProtocol as MicrographProtocol
    from ._protocol import TomogramProtocol as TomogramProtocol
    from ._slices import ImageStatistics as ImageStatistics
    from ._slices import central_slice as central_slice
    from ._slices import contrast_limits as contrast_limits
    from ._slices import orthogonal_slices as orthogonal_slices
    from ._slices import statistics as statistics
    from ._validators import validate_image as validate_image
    from ._validators import validate_micrograph as validate_micrograph
    from ._validators import validate_tomogram as validate_tomogram
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
