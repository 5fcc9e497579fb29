"""transformers: ModernBERT. Blocks normalise their inputs; qkv is one matrix, and so are gate and up."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, head_of, see_through

SERVES = ("transformers.models.modernbert.modeling_modernbert.ModernBertPreTrainedModel",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare encoder or of one with a head."""
    body = model.base_model
    return Anatomy(
        model=model,
        blocks=tuple(_block(body.layers, index) for index in range(len(body.layers))),
        width=body.config.hidden_size,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "final_norm"),
        head=head_of(model, body),
    )


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention = _attention(layer)
    mlp = _mlp(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "attn_norm"), see_through(layer, "mlp_norm")),
        linears=attention.linears + mlp.linears,
    )


def _attention(layer: Any) -> Attention:
    """It takes no cache, so that no prefix fits in."""
    site = see_through(layer, "attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    heads = module.config.num_attention_heads
    return Attention(
        site=site,
        qkv=see_through(module, "Wqkv"),
        o=see_through(module, "Wo"),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=module.head_dim,
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    down = see_through(module, "Wo")
    return MLP(
        site=site,
        output=site,
        kind="gated",
        gate_up=see_through(module, "Wi"),
        down=down,
        activation=module.act,
        width=down.get().out_features,
        hidden=down.get().in_features,
    )
