"""transformers: decoders that came before Llama, with a plain FFN. One row of names for each."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, head_of, see_through
from ..attention.prefixed_attention import through_cache

SERVES = ("transformers.models.gpt_neox.modeling_gpt_neox.GPTNeoXPreTrainedModel",)


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a family calls its modules, and whether its qkv lies head by head."""

    blocks: str
    embeddings: tuple[str, ...]
    final_norm: str
    norms: tuple[str, str]
    attention: str
    qkv: str
    interleaved: bool
    o: str
    up: str
    down: str


NAMES = {
    "gpt_neox": Names(
        blocks="layers",
        embeddings=("embed_in",),
        final_norm="final_layer_norm",
        norms=("input_layernorm", "post_attention_layernorm"),
        attention="attention",
        qkv="query_key_value",
        interleaved=True,
        o="dense",
        up="dense_h_to_4h",
        down="dense_4h_to_h",
    ),
}
"""By `config.model_type`. GPT-NeoX is also Pythia; attention and FFN may read the same sum, each through its norm."""


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head."""
    body = model.base_model
    names = NAMES[body.config.model_type]
    layers = getattr(body, names.blocks)
    return Anatomy(
        model=model,
        blocks=tuple(_block(layers, index, names) for index in range(len(layers))),
        width=body.config.hidden_size,
        embeddings=tuple(see_through(body, name) for name in names.embeddings),
        final_norm=see_through(body, names.final_norm),
        head=head_of(model, body),
    )


def _block(layers: nn.ModuleList, index: int, names: Names) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention = _attention(layer, names)
    mlp = _mlp(layer, names)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=tuple(see_through(layer, name) for name in names.norms),
        linears=attention.linears + mlp.linears,
    )


def _attention(layer: Any, names: Names) -> Attention:
    site = see_through(layer, names.attention)
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    config = module.config
    return Attention(
        site=site,
        qkv=see_through(module, names.qkv),
        interleaved=names.interleaved,
        o=see_through(module, names.o),
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_attention_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        prefixed=partial(through_cache, causal=True),
        causal=True,
    )


def _mlp(layer: Any, names: Names) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    up = see_through(module, names.up)
    return MLP(
        site=site,
        output=site,
        kind="plain",
        up=up,
        down=see_through(module, names.down),
        activation=module.act,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
