"""transformers: ViT and DeiT, whose distillation token may have a head of its own; what other image models share."""

from typing import Any

from ..anatomy import MLP, Anatomy, Attention, Block, Prefixed, Site, head_at, head_of, see_through
from ..anatomy.building import attention_at, block_at, blocks_of, mlp_at
from ..attention.prefixed_attention import through_interface

SERVES = (
    "transformers.models.deit.modeling_deit.DeiTPreTrainedModel",
    "transformers.models.vit.modeling_vit.ViTPreTrainedModel",
)
NORMS = ("layernorm_before", "layernorm_after")
_BRANCHES = (("layernorm_before", "attention", "dropout"), ("layernorm_after", "mlp", "dropout"))


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model, or of one with a head or, of a distilled DeiT, two, whose outputs are averaged."""
    body = model.base_model
    embeddings = see_through(body, "embeddings")
    prefix_tokens = 1
    if hasattr(embeddings.get(), "distillation_token"):
        prefix_tokens = 2
    head = head_of(model, body)
    of_distillation = head_at(model, "distillation_classifier")
    if of_distillation is not None:
        head = head_at(model, "cls_classifier")
    return Anatomy(
        model=model,
        blocks=blocks_of(body.layers, _block),
        width=body.config.hidden_size,
        embeddings=(embeddings,),
        final_norm=see_through(body, "layernorm"),
        head=head,
        further_heads=() if of_distillation is None else (of_distillation,),
        prefix_tokens=prefix_tokens,
        grid=grid_of(embeddings.get().patch_embeddings),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    attention = attention_of(layer, through_interface)
    return block_at(site, index, attention, mlp_of(layer), NORMS, branches=_BRANCHES)


def grid_of(patches: Any) -> tuple[int, int]:
    """Rows and columns of what a module of patch embeddings makes of an image of its own size."""
    height, width = patches.image_size
    patch_height, patch_width = patches.patch_size
    return height // patch_height, width // patch_width


def attention_of(layer: Any, prefixed: Prefixed | None) -> Attention:
    """The view of `layer.attention`, an attention with four projections and as many heads of keys as of queries."""
    return attention_at(layer, "attention", heads="num_attention_heads", prefixed=prefixed)


def mlp_of(layer: Any) -> MLP:
    """The view of `layer.mlp`, a plain FFN."""
    return mlp_at(layer, "mlp", {"up": "fc1", "down": "fc2"}, "activation_fn")
