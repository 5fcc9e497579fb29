"""transformers: GPT-2, GPT-NeoX (Pythia) and OPT, decoders with a plain FFN. One row of names for each."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, Site, head_of, see_through
from ..attention.prefixed_attention import through_cache

SERVES = (
    "transformers.models.gpt2.modeling_gpt2.GPT2PreTrainedModel",
    "transformers.models.gpt_neox.modeling_gpt_neox.GPTNeoXPreTrainedModel",
    "transformers.models.opt.modeling_opt.OPTPreTrainedModel",
)


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a family calls its modules.

    `projections`: those of the attention by their place in the view; `interleaved`: one qkv, head by head. `mlp` is
    empty where the FFN has no module of its own: the block calls up, activation and down.
    """

    blocks: str
    embeddings: tuple[str, ...]
    final_norm: str
    norms: tuple[str, str]
    attention: str
    projections: dict[str, str]
    interleaved: bool = False
    mlp: str = "mlp"
    up: str
    down: str
    activation: str = "act"


NAMES = {
    "gpt2": Names(
        blocks="h",
        embeddings=("wte", "wpe"),
        final_norm="ln_f",
        norms=("ln_1", "ln_2"),
        attention="attn",
        projections={"qkv": "c_attn", "o": "c_proj"},
        up="c_fc",
        down="c_proj",
    ),
    "gpt_neox": Names(
        blocks="layers",
        embeddings=("embed_in",),
        final_norm="final_layer_norm",
        norms=("input_layernorm", "post_attention_layernorm"),
        attention="attention",
        projections={"qkv": "query_key_value", "o": "dense"},
        interleaved=True,
        up="dense_h_to_4h",
        down="dense_4h_to_h",
    ),
    "opt": Names(
        blocks="layers",
        embeddings=("embed_tokens", "embed_positions"),
        final_norm="final_layer_norm",
        norms=("self_attn_layer_norm", "final_layer_norm"),
        attention="self_attn",
        projections={"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"},
        mlp="",
        up="fc1",
        down="fc2",
        activation="activation_fn",
    ),
}
"""By `config.model_type`."""


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head."""
    body = model.base_model
    names = NAMES[body.config.model_type]
    stack = getattr(body, "decoder", body)
    layers = getattr(stack, names.blocks)
    final_norm = None
    if getattr(stack, names.final_norm, None) is not None:
        final_norm = see_through(stack, names.final_norm)
    return Anatomy(
        model=model,
        blocks=tuple(_block(layers, index, names) for index in range(len(layers))),
        width=body.config.hidden_size,
        embeddings=tuple(see_through(stack, name) for name in names.embeddings),
        final_norm=final_norm,
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
        linears=attention.linears + _cross_attention(layer) + mlp.linears,
        post_norm=not getattr(layer, "do_layer_norm_before", True),
        # Where a block divides its scores by its number, it computes something else in another place.
        removable=not getattr(attention.site.get(), "scale_attn_by_inverse_layer_idx", False),
    )


def _cross_attention(layer: Any) -> tuple[Site, ...]:
    """The linear layers of a GPT-2 that decodes what an encoder has read."""
    if not hasattr(layer, "crossattention"):
        return ()
    module = see_through(layer, "crossattention").get()
    return tuple(see_through(module, name) for name in ("q_attn", "c_attn", "c_proj"))


def _attention(layer: Any, names: Names) -> Attention:
    site = see_through(layer, names.attention)
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    config = module.config
    projections: dict[str, Any] = {place: see_through(module, name) for place, name in names.projections.items()}
    return Attention(
        site=site,
        **projections,
        interleaved=names.interleaved,
        num_heads=config.num_attention_heads,
        num_kv_heads=config.num_attention_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        prefixed=partial(through_cache, causal=True),
        causal=True,
    )


def _mlp(layer: Any, names: Names) -> MLP:
    if not names.mlp:
        return _mlp_without_module(layer, names)
    site = see_through(layer, names.mlp)
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    return _plain(site, site, module, names)


def _mlp_without_module(layer: Any, names: Names) -> MLP:
    site = see_through(layer, names.up)
    between = Site(layer, names.activation)
    tail = see_through(layer, names.down)
    if isinstance(site.get(), DescribesMLP):
        view = site.get().describe_mlp(site, tail, tail)
    else:
        view = _plain(site, tail, layer, names)
    return replace(view, between=between, tail=tail)


def _plain(site: Site, output: Site, holder: Any, names: Names) -> MLP:
    up = see_through(holder, names.up)
    width, hidden = _sizes(up.get())
    return MLP(
        site=site,
        output=output,
        kind="plain",
        up=up,
        down=see_through(holder, names.down),
        activation=getattr(holder, names.activation),
        width=width,
        hidden=hidden,
    )


def _sizes(linear: Any) -> tuple[int, int]:
    """Inputs and outputs; the `Conv1D` of GPT-2 has other names for them."""
    if hasattr(linear, "nx"):
        return linear.nx, linear.nf
    return linear.in_features, linear.out_features
