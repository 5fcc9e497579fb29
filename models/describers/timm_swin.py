"""timm: Swin. Its attention sees windows of patches, its stages have different widths."""

from typing import Any

from ..anatomy import Anatomy, Block, Site, head_at, see_through
from ..anatomy.building import block_at, staged_blocks
from .timm_vit import attention_of, mlp_of

SERVES = ("timm.models.swin_transformer.SwinTransformer",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head. `width` is that of the last stage."""
    return Anatomy(
        model=model,
        blocks=staged_blocks(model.layers, _block),
        width=model.num_features,
        embeddings=(see_through(model, "patch_embed"),),
        final_norm=see_through(model, "norm"),
        head=head_at(model.head, "fc"),
    )


def _block(site: Site, index: int) -> Block:
    block = site.get()
    return block_at(site, index, attention_of(block, prefixed=None), mlp_of(block), ("norm1", "norm2"))
