"""Public test tools: the contract of formats, exact comparison, a zoo of small inputs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._compare import assert_same as assert_same
    from ._contract import check_format as check_format
    from ._zoo import zoo as zoo
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
