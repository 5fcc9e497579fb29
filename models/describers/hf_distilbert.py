"""transformers: DistilBERT. Blocks normalise the sums, as BERT's do, but the FFN is one module."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, head_of, see_through

SERVES = ("transformers.models.distilbert.modeling_distilbert.DistilBertPreTrainedModel",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare encoder or of one with a head. Post-norm: the last block's norm is the final one."""
    body = model.base_model
    layers = body.transformer.layer
    return Anatomy(
        model=model,
        blocks=tuple(_block(layers, index) for index in range(len(layers))),
        width=body.config.dim,
        embeddings=(see_through(body, "embeddings"),),
        head=head_of(model, body),
        # New with each task, like the classifier that reads it.
        further_heads=tuple(see_through(model, name) for name in ("pre_classifier",) if hasattr(model, name)),
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
        norms=(see_through(layer, "sa_layer_norm"), see_through(layer, "output_layer_norm")),
        linears=attention.linears + mlp.linears,
        post_norm=True,
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "attention")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    return Attention(
        site=site,
        q=see_through(module, "q_lin"),
        k=see_through(module, "k_lin"),
        v=see_through(module, "v_lin"),
        o=see_through(module, "out_lin"),
        num_heads=module.n_heads,
        num_kv_heads=module.n_heads,
        head_dim=module.attention_head_size,
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "ffn")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    up = see_through(module, "lin1")
    return MLP(
        site=site,
        output=site,
        kind="plain",
        up=up,
        down=see_through(module, "lin2"),
        activation=module.activation,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
