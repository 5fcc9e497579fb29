"""Whether a model has dense feed-forward layers, which a method can cut into experts or make smaller.

Apart from the conversion, so that rows that only drop neurons pass through no mixture of experts.
"""

from torch import nn

from sparsebench.models.anatomy import UnknownAnatomy, describe

from ...contracts.method import NotApplicable


def check_has_ffn(model: nn.Module) -> None:
    """Raise `NotApplicable` for a model of unknown anatomy, without a feed-forward layer to cut, or with experts."""
    try:
        blocks = describe(model).blocks
    except UnknownAnatomy as error:
        raise NotApplicable(str(error)) from error
    kinds = {block.mlp.kind for block in blocks if block.mlp is not None}
    if "moe" in kinds:
        raise NotApplicable(f"{type(model).__name__} is a mixture of experts already")
    if not kinds - {"conv"}:
        raise NotApplicable(f"{type(model).__name__} has no feed-forward layer to cut")
