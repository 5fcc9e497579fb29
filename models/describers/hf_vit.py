"""transformers: ViT."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesMLP, comes_from, head_beside, see_through


def matches(model: nn.Module) -> bool:
    """Whether the model is a ViT of transformers."""
    return comes_from(model, "transformers.models.vit.modeling_vit")


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare ViT or of one with a head."""
    body = model.base_model
    return Anatomy(
        model=model,
        blocks=tuple(_block(body.layers, index) for index in range(len(body.layers))),
        width=body.config.hidden_size,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "layernorm"),
        head=head_beside(model, body),
    )


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
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "attention")
    module = site.get()
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
