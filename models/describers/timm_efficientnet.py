"""timm: EfficientNet and its lite variants. A block is one depthwise-separable or inverted-residual unit."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Block, Site, see_through

SERVES = ("timm.models.efficientnet.EfficientNet",)


def describe(model: Any) -> Anatomy:
    """The anatomy; `width` is the number of features after the last convolution."""
    places = [(stage, name) for stage in model.blocks for name, _ in stage.named_children()]
    return Anatomy(
        model=model,
        blocks=tuple(_block(stage, name, index) for index, (stage, name) in enumerate(places)),
        width=model.num_features,
        embeddings=(see_through(model, "conv_stem"), see_through(model, "bn1")),
        final_norm=see_through(model, "bn2"),
        head=None if isinstance(model.classifier, nn.Identity) else see_through(model, "classifier"),
    )


def _block(stage: nn.Module, name: str, index: int) -> Block:
    site = see_through(stage, name)
    unit = site.get()
    linears = tuple(see_through(unit, conv) for conv in ("conv_pw", "conv_pwl") if hasattr(unit, conv))
    norms = tuple(see_through(unit, norm) for norm in ("bn1", "bn2", "bn3") if hasattr(unit, norm))
    convs = tuple(see_through(unit, conv) for conv in ("conv_pw", "conv_dw", "conv_pwl") if hasattr(unit, conv))
    return Block(
        index=index,
        site=site,
        mlp=_expansion(site, linears),
        norms=norms,
        linears=linears,
        convs=convs,
        removable=unit.has_skip,
    )


def _expansion(site: Site, linears: tuple[Site, ...]) -> MLP | None:
    """The inverted bottleneck as a wide hidden layer: up, depthwise, down. None where a unit does not expand."""
    if len(linears) < 2:
        return None
    up, down = linears
    return MLP(
        site=site,
        output=site,
        kind="conv",
        up=up,
        down=down,
        activation=see_through(site.get(), "bn1").get().act,
        width=up.get().in_channels,
        hidden=up.get().out_channels,
    )
