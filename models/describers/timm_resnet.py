"""timm: ResNet and ResNeXt, made of basic blocks or bottlenecks."""

from typing import Any

from torch import nn

from ..anatomy import Anatomy, Block, Site, UnknownAnatomy, has_parameters, head_at, see_through

SERVES = ("timm.models.resnet.ResNet",)
_BLOCKS = ("BasicBlock", "Bottleneck")


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head.

    Raises `UnknownAnatomy` for networks of this class with blocks of another kind (ResNeSt, SKNet, Res2Net).
    """
    blocks: list[Block] = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for name, _ in stage.named_children():
            blocks.append(_block(see_through(stage, name), len(blocks)))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=model.num_features,
        embeddings=(see_through(model, "conv1"), see_through(model, "bn1")),
        head=head_at(model, "fc"),
    )


def _block(site: Site, index: int) -> Block:
    unit = site.get()
    kind = type(unit)
    if kind.__module__ != "timm.models.resnet" or kind.__name__ not in _BLOCKS:
        raise UnknownAnatomy(
            f"no describer knows the {kind.__name__} of this ResNet, only {' and '.join(_BLOCKS)}: "
            "register a describer of your own with sparsebench.models.anatomy.register_describer"
        )
    convs: list[Site] = []
    norms: list[Site] = []
    for place in ("1", "2", "3"):
        if hasattr(unit, f"conv{place}"):
            convs.append(see_through(unit, f"conv{place}"))
            norms.append(see_through(unit, f"bn{place}"))
    return Block(
        index=index,
        site=site,
        norms=tuple(norms),
        linears=tuple(conv for conv in convs if _is_pointwise(conv.get())),
        convs=tuple(convs),
        shortcut_convs=_shortcut(unit),
        removable=unit.downsample is None,
    )


def _shortcut(unit: Any) -> tuple[Site, ...]:
    """The convolution of a shortcut that changes the shape; a pooling and a norm may stand beside it."""
    if unit.downsample is None:
        return ()
    sites = [see_through(unit.downsample, name) for name, _ in unit.downsample.named_children()]
    return tuple(site for site in sites if hasattr(site.get(), "kernel_size") and has_parameters(site.get()))


def _is_pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1) and conv.groups == 1
