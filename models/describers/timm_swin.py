"""timm: Swin. Its attention sees windows of patches, its stages have different widths."""

from typing import Any

from ..anatomy import Anatomy, Attention, Block, DescribesAttention, Site, head_at, see_through
from .timm_vit import mlp_of

SERVES = ("timm.models.swin_transformer.SwinTransformer",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head. `width` is that of the last stage."""
    blocks: list[Block] = []
    for stage in model.layers:
        for name, _ in stage.blocks.named_children():
            blocks.append(_block(see_through(stage.blocks, name), len(blocks)))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=model.num_features,
        embeddings=(see_through(model, "patch_embed"),),
        final_norm=see_through(model, "norm"),
        head=head_at(model.head, "fc"),
    )


def _block(site: Site, index: int) -> Block:
    block = site.get()
    attention = _attention(block)
    mlp = mlp_of(block)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(block, "norm1"), see_through(block, "norm2")),
        linears=attention.linears + mlp.linears,
    )


def _attention(block: Any) -> Attention:
    site = see_through(block, "attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    qkv = see_through(module, "qkv")
    return Attention(
        site=site,
        qkv=qkv,
        o=see_through(module, "proj"),
        num_heads=module.num_heads,
        num_kv_heads=module.num_heads,
        head_dim=qkv.get().out_features // 3 // module.num_heads,
        returns_tuple=False,
    )
