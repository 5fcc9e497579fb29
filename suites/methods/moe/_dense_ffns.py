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


def check_has_neurons(model: nn.Module) -> None:
    """As `check_has_ffn`, and raise `NotApplicable` where hidden neurons depend on each other by a norm among them."""
    check_has_ffn(model)
    for block in describe(model).blocks:
        mlp = block.mlp
        if mlp is None or mlp.kind not in ("gated", "plain"):
            continue
        whole = nn.ModuleList(site.get() for site in mlp.parts)
        linears = nn.ModuleList(site.get() for site in mlp.linears)
        if set(whole.parameters()) - set(linears.parameters()):
            raise NotApplicable(
                f"{mlp.site.path} holds parameters outside its linear layers (a norm?): its neurons depend on each "
                "other and cannot be cut apart"
            )
