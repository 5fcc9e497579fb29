"""transformers: Swin. Its attention sees windows of patches, its stages have different widths."""

from typing import Any

from ..anatomy import Anatomy, Block, Site, head_of, see_through
from ..anatomy.building import block_at, staged_blocks
from .hf_vit import NORMS, attention_of, mlp_of

SERVES = (
    "transformers.models.swin.modeling_swin.SwinForImageClassification",
    "transformers.models.swin.modeling_swin.SwinForMaskedImageModeling",
    "transformers.models.swin.modeling_swin.SwinModel",
)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head. `width` is that of the last stage."""
    body = model.base_model
    return Anatomy(
        model=model,
        blocks=staged_blocks(body.encoder.layers, _block),
        width=body.num_features,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "layernorm"),
        head=head_of(model, body),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    return block_at(site, index, attention_of(layer, prefixed=None), mlp_of(layer), NORMS)
