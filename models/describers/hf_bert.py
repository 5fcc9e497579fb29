"""transformers: BERT, RoBERTa, XLM-R, ELECTRA, MPNet. Their FFN is spread over `intermediate` and `output.dense`."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, Site, head_of, see_through
from ..attention.prefixed_attention import through_cache

SERVES = (
    "transformers.models.bert.modeling_bert.BertPreTrainedModel",
    "transformers.models.electra.modeling_electra.ElectraPreTrainedModel",
    "transformers.models.mpnet.modeling_mpnet.MPNetPreTrainedModel",
    "transformers.models.roberta.modeling_roberta.RobertaPreTrainedModel",
    "transformers.models.xlm_roberta.modeling_xlm_roberta.XLMRobertaPreTrainedModel",
)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare encoder or of one with a head. Post-norm: the last block's norm is the final one."""
    body = model.base_model
    layers = body.encoder.layer
    return Anatomy(
        model=model,
        blocks=tuple(_block(layers, index) for index in range(len(layers))),
        width=body.config.hidden_size,
        embeddings=(see_through(body, "embeddings"),),
        head=head_of(model, body),
    )


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention = _attention(layer)
    mlp = _mlp(layer)
    # A removed attention has taken its norm with it.
    attention_norms = () if attention.removed else (_attention_norm(attention.site.get()),)
    mlp_norms = (see_through(see_through(layer, "output").get(), "LayerNorm"),)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=attention_norms + mlp_norms,
        attention_norms=attention_norms,
        mlp_norms=mlp_norms,
        linears=attention.linears + mlp.linears,
        post_norm=True,
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "attention")
    if isinstance(site.get(), DescribesAttention):
        return site.get().describe_attention(site)
    if hasattr(site.get(), "attn"):
        return _mpnet_attention(site)
    projections = site.get().self
    return Attention(
        site=site,
        q=see_through(projections, "query"),
        k=see_through(projections, "key"),
        v=see_through(projections, "value"),
        o=see_through(site.get().output, "dense"),
        num_heads=projections.num_attention_heads,
        num_kv_heads=projections.num_attention_heads,
        head_dim=projections.attention_head_size,
        prefixed=partial(through_cache, causal=projections.is_causal),
        adds_input=True,
        causal=projections.is_causal,
    )


def _mpnet_attention(site: Site) -> Attention:
    """All linear layers lie in one module, which takes no cache."""
    projections = see_through(site.get(), "attn").get()
    return Attention(
        site=site,
        q=see_through(projections, "q"),
        k=see_through(projections, "k"),
        v=see_through(projections, "v"),
        o=see_through(projections, "o"),
        num_heads=projections.num_attention_heads,
        num_kv_heads=projections.num_attention_heads,
        head_dim=projections.attention_head_size,
        adds_input=True,
    )


def _attention_norm(module: Any) -> Site:
    """The norm of the sum of an attention and its input; MPNet has no module for the output alone."""
    holder = module
    if hasattr(module, "output"):
        holder = see_through(module, "output").get()
    return see_through(holder, "LayerNorm")


def _mlp(layer: Any) -> MLP:
    add_norm = see_through(layer, "output")
    site, tail = see_through(layer, "intermediate"), see_through(add_norm.get(), "dense")
    output = see_through(add_norm.get(), "dropout")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return replace(module.describe_mlp(site, output, tail), add_norm=add_norm)
    up = see_through(module, "dense")
    return MLP(
        site=site,
        output=output,
        tail=tail,
        add_norm=add_norm,
        kind="plain",
        up=up,
        down=tail,
        activation=module.intermediate_act_fn,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
