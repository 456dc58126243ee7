"""Images: an array (zyx) with its metadata."""

from cryotypes._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._dask import to_dask as to_dask
    from ._protocol import Image as Image
    from ._protocol import ImageProtocol as ImageProtocol
    from ._protocol import MicrographProtocol as MicrographProtocol
    from ._protocol import TomogramProtocol as TomogramProtocol
    from ._validators import validate_image as validate_image
    from ._validators import validate_micrograph as validate_micrograph
    from ._validators import validate_tomogram as validate_tomogram
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Image": "_protocol",
            "ImageProtocol": "_protocol",
            "MicrographProtocol": "_protocol",
            "TomogramProtocol": "_protocol",
            "to_dask": "_dask",
            "validate_image": "_validators",
            "validate_micrograph": "_validators",
            "validate_tomogram": "_validators",
        },
    )

__all__ = [
    "Image",
    "ImageProtocol",
    "MicrographProtocol",
    "TomogramProtocol",
    "to_dask",
    "validate_image",
    "validate_micrograph",
    "validate_tomogram",
]
