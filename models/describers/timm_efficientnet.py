"""timm: EfficientNet with its lite variants and version 2, MobileNetV3 and V4 without attention.

A block is one unit: a convolution, a depthwise-separable, inverted-residual or fused one.
"""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Block, Site, UnknownAnatomy, has_parameters, head_at, see_through

SERVES = ("timm.models.efficientnet.EfficientNet", "timm.models.mobilenetv3.MobileNetV3")
_CONVS = {
    "ConvBnAct": ("conv",),
    "CondConvResidual": ("conv_pw", "conv_dw", "conv_pwl"),
    "DepthwiseSeparableConv": ("conv_s2d", "conv_dw", "conv_pw"),
    "EdgeResidual": ("conv_exp", "conv_pwl"),
    "InvertedResidual": ("conv_s2d", "conv_pw", "conv_dw", "conv_pwl"),
    "UniversalInvertedResidual": ("dw_start", "pw_exp", "dw_mid", "pw_proj", "dw_end"),
}
"""The convolutions of each unit in the order in which they act; some are missing or are identities."""
_POINTWISE = ("conv_pw", "conv_pwl", "pw_exp", "pw_proj")
_NORMS = ("bn_s2d", "bn1", "bn2", "bn3")


def describe(model: Any) -> Anatomy:
    """The anatomy; `width` is the number of features that the classifier reads.

    Raises `UnknownAnatomy` for units of another kind (the attention of the hybrid MobileNetV4).
    """
    blocks: list[Block] = []
    for stage in model.blocks:
        for name, _ in stage.named_children():
            blocks.append(_block(see_through(stage, name), len(blocks)))
    final_norm = None
    for name in ("bn2", "norm_head"):
        if hasattr(model, name) and has_parameters(getattr(model, name)):
            final_norm = see_through(model, name)
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=model.head_hidden_size,
        embeddings=(see_through(model, "conv_stem"), see_through(model, "bn1")),
        final_norm=final_norm,
        last_convs=_last(model),
        head=head_at(model, "classifier"),
    )


def _block(site: Site, index: int) -> Block:
    unit = site.get()
    convs: list[Site] = []
    linears: list[Site] = []
    norms = [see_through(unit, name) for name in _NORMS if getattr(unit, name, None) is not None]
    for name in _convolutions(unit):
        conv = see_through(unit, name)
        if hasattr(conv.get(), "conv"):  # a convolution with its norm
            norms.append(see_through(conv.get(), "bn"))
            conv = see_through(conv.get(), "conv")
        convs.append(conv)
        if name in _POINTWISE or _is_pointwise(conv.get()):
            linears.append(conv)
    # Mixed and conditional convolutions are other modules: then the order is not one of plain convolutions.
    if not all(isinstance(conv.get(), nn.Conv2d) for conv in convs):
        convs = []
    return Block(
        index=index,
        site=site,
        mlp=_expansion(site, linears),
        norms=tuple(norms),
        linears=tuple(linears),
        convs=tuple(convs),
        removable=unit.has_skip,
    )


def _last(model: Any) -> tuple[Site, ...]:
    """The convolution before the pooling. That of MobileNetV3 comes after it, and is part of its head."""
    if type(model).__name__ != "EfficientNet" or not has_parameters(model.conv_head):
        return ()
    return (see_through(model, "conv_head"),)


def _convolutions(unit: nn.Module) -> list[str]:
    """The names of a unit's convolutions, in the order in which they act."""
    kind = type(unit).__name__
    if kind not in _CONVS:
        raise UnknownAnatomy(
            f"no describer knows the {kind} of this network, only {', '.join(_CONVS)}: "
            "register a describer of your own with sparsebench.models.anatomy.register_describer"
        )
    names: list[str] = []
    for name in _CONVS[kind]:
        child = getattr(unit, name, None)
        if child is not None and has_parameters(child):
            names.append(name)
    return names


def _is_pointwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1


def _expansion(site: Site, linears: list[Site]) -> MLP | None:
    """The inverted bottleneck as a wide hidden layer: up, depthwise, down. None where a unit does not expand."""
    if len(linears) < 2:
        return None
    up, down = linears
    unit = site.get()
    if hasattr(unit, "bn1"):
        norm = see_through(unit, "bn1")
    else:
        norm = see_through(unit.pw_exp, "bn")
    return MLP(
        site=site,
        output=site,
        kind="conv",
        up=up,
        down=down,
        activation=norm.get().act,
        width=up.get().in_channels,
        hidden=up.get().out_channels,
    )
