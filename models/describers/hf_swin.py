"""transformers: Swin. Its attention sees windows of patches, its stages have different widths."""

from typing import Any

from ..anatomy import Anatomy, Block, Site, head_of, see_through
from .hf_vit import attention_of, mlp_of

SERVES = (
    "transformers.models.swin.modeling_swin.SwinForImageClassification",
    "transformers.models.swin.modeling_swin.SwinForMaskedImageModeling",
    "transformers.models.swin.modeling_swin.SwinModel",
)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head. `width` is that of the last stage."""
    body = model.base_model
    blocks: list[Block] = []
    for stage in body.encoder.layers:
        for name, _ in stage.blocks.named_children():
            blocks.append(_block(see_through(stage.blocks, name), len(blocks)))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=body.num_features,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "layernorm"),
        head=head_of(model, body),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    attention = attention_of(layer, prefixed=None)
    mlp = mlp_of(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "layernorm_before"), see_through(layer, "layernorm_after")),
        linears=attention.linears + mlp.linears,
    )
