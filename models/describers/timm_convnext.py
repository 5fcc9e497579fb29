"""timm: ConvNeXt. A block is a depthwise convolution and an FFN on the channels."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Block, Site, has_parameters, head_at, see_through
from ..anatomy.building import staged_blocks
from .timm_vit import mlp_of

SERVES = ("timm.models.convnext.ConvNeXt",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head. `width` is that of the last stage."""
    if has_parameters(model.norm_pre):
        final_norm = see_through(model, "norm_pre")
    else:
        final_norm = see_through(model.head, "norm")
    return Anatomy(
        model=model,
        blocks=staged_blocks(model.stages, _block),
        width=model.num_features,
        embeddings=(see_through(model, "stem"),),
        final_norm=final_norm,
        head=head_at(model.head, "fc"),
    )


def _block(site: Site, index: int) -> Block:
    block = site.get()
    convs = (see_through(block, "conv_dw"),)
    if block.use_conv_mlp:
        mlp = _of_convolutions(site)
        convs += mlp.linears
    else:
        mlp = mlp_of(block)
    return Block(
        index=index,
        site=site,
        mlp=mlp,
        norms=(see_through(block, "norm"),),
        linears=mlp.linears,
        convs=convs,
        removable=isinstance(block.shortcut, nn.Identity),
    )


def _of_convolutions(site: Site) -> MLP:
    """The FFN where it is made of pointwise convolutions: its channels are not the last dimension."""
    ffn = see_through(site.get(), "mlp")
    module = ffn.get()
    up = see_through(module, "fc1")
    return MLP(
        site=ffn,
        output=ffn,
        kind="conv",
        up=up,
        down=see_through(module, "fc2"),
        activation=module.act,
        width=up.get().in_channels,
        hidden=up.get().out_channels,
    )
