"""transformers: ViT and DeiT, whose distillation token may have a head of its own."""

from typing import Any

from torch import nn

from ..anatomy import (
    MLP,
    Anatomy,
    Attention,
    Block,
    DescribesAttention,
    DescribesMLP,
    Site,
    has_parameters,
    head_of,
    see_through,
)
from ..attention.prefixed_attention import through_interface

SERVES = (
    "transformers.models.deit.modeling_deit.DeiTPreTrainedModel",
    "transformers.models.vit.modeling_vit.ViTPreTrainedModel",
)
_TWO_HEADS = ("cls_classifier", "distillation_classifier")
_BRANCHES = (("layernorm_before", "attention", "dropout"), ("layernorm_after", "mlp", "dropout"))


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model, or of one with a head or, of a distilled DeiT, two."""
    body = model.base_model
    embeddings = see_through(body, "embeddings")
    prefix_tokens = 1
    if hasattr(embeddings.get(), "distillation_token"):
        prefix_tokens = 2
    head, further_heads = _heads(model, body)
    return Anatomy(
        model=model,
        blocks=tuple(_block(body.layers, index) for index in range(len(body.layers))),
        width=body.config.hidden_size,
        embeddings=(embeddings,),
        final_norm=see_through(body, "layernorm"),
        head=head,
        further_heads=further_heads,
        prefix_tokens=prefix_tokens,
        grid=_grid(embeddings.get().patch_embeddings),
    )


def _grid(patches: Any) -> tuple[int, int]:
    height, width = patches.image_size
    patch_height, patch_width = patches.patch_size
    return height // patch_height, width // patch_width


def _heads(model: Any, body: nn.Module) -> tuple[Site | None, tuple[Site, ...]]:
    """The head, and those whose outputs are averaged with its output."""
    if not hasattr(model, _TWO_HEADS[0]):
        return head_of(model, body), ()
    heads = [see_through(model, name) for name in _TWO_HEADS if has_parameters(getattr(model, name))]
    if not heads:
        return None, ()
    return heads[0], tuple(heads[1:])


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention, mlp = _attention(layer), _mlp(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "layernorm_before"), see_through(layer, "layernorm_after")),
        linears=attention.linears + mlp.linears,
        branches=tuple(tuple(Site(layer, name) for name in names) for names in _BRANCHES),
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "attention")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    heads = module.config.num_attention_heads
    return Attention(
        site=site,
        q=see_through(module, "q_proj"),
        k=see_through(module, "k_proj"),
        v=see_through(module, "v_proj"),
        o=see_through(module, "o_proj"),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=module.head_dim,
        prefixed=through_interface,
    )


def _mlp(layer: Any) -> MLP:
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
