"""Take data from any format to any other, and say what that did to them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._contents import contents as contents
    from ._contents import formats_in as formats_in
    from ._contents import told as told
    from ._contents import without_alignment as without_alignment
    from ._convert import convert as convert
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
