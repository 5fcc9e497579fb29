"""transformers: ViT and DeiT, whose distillation token may have a head of its own; what other image models share."""

from typing import Any

from torch import nn

from ..anatomy import (
    MLP,
    Anatomy,
    Attention,
    Block,
    DescribesAttention,
    DescribesMLP,
    Prefixed,
    branch_sites,
    head_at,
    head_of,
    see_through,
)
from ..attention.prefixed_attention import through_interface

SERVES = (
    "transformers.models.deit.modeling_deit.DeiTPreTrainedModel",
    "transformers.models.vit.modeling_vit.ViTPreTrainedModel",
)
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
        blocks=tuple(_block(body.layers, index) for index in range(len(body.layers))),
        width=body.config.hidden_size,
        embeddings=(embeddings,),
        final_norm=see_through(body, "layernorm"),
        head=head,
        further_heads=() if of_distillation is None else (of_distillation,),
        prefix_tokens=prefix_tokens,
        grid=grid_of(embeddings.get().patch_embeddings),
    )


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention = attention_of(layer, through_interface)
    mlp = mlp_of(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "layernorm_before"), see_through(layer, "layernorm_after")),
        linears=attention.linears + mlp.linears,
        branches=branch_sites(layer, _BRANCHES),
    )


def grid_of(patches: Any) -> tuple[int, int]:
    """Rows and columns of what a module of patch embeddings makes of an image of its own size."""
    height, width = patches.image_size
    patch_height, patch_width = patches.patch_size
    return height // patch_height, width // patch_width


def attention_of(layer: Any, prefixed: Prefixed | None) -> Attention:
    """The view of `layer.attention`, an attention with four projections and as many heads of keys as of queries."""
    site = see_through(layer, "attention")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    heads = module.num_attention_heads
    return Attention(
        site=site,
        q=see_through(module, "q_proj"),
        k=see_through(module, "k_proj"),
        v=see_through(module, "v_proj"),
        o=see_through(module, "o_proj"),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=module.head_dim,
        prefixed=prefixed,
    )


def mlp_of(layer: Any) -> MLP:
    """The view of `layer.mlp`, a plain FFN."""
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    up = see_through(module, "fc1")
    return MLP(
        site=site,
        output=site,
        kind="plain",
        up=up,
        down=see_through(module, "fc2"),
        activation=module.activation_fn,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
