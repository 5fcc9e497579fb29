"""transformers: T5, mT5 and UMT5, v1.1 with gated FFNs too. Blocks of the encoder come first, then the decoder's."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, Site, has_parameters, head_of, see_through
from ..anatomy.building import mlp_at

SERVES = (
    "transformers.models.mt5.modeling_mt5.MT5PreTrainedModel",
    "transformers.models.t5.modeling_t5.T5PreTrainedModel",
    "transformers.models.umt5.modeling_umt5.UMT5PreTrainedModel",
)


def describe(model: Any) -> Anatomy:
    """The anatomy of an encoder, or of an encoder with a decoder, bare or with a head."""
    body = model.base_model
    stacks = [see_through(body, name) for name in ("encoder", "decoder") if hasattr(body, name)]
    blocks: list[Block] = []
    for stack in stacks:
        layers = stack.get().block
        for place in range(len(layers)):
            blocks.append(_block(layers, place, index=len(blocks)))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=body.config.d_model,
        embeddings=(see_through(body, "shared"),),
        final_norm=see_through(stacks[-1].get(), "final_layer_norm"),
        head=_head(model, body),
    )


def _head(model: nn.Module, body: nn.Module) -> Site | None:
    """Some classes hold encoder and decoder themselves, in the places of a body."""
    if body is not model:
        return head_of(model, body)
    heads = [name for name, _ in model.named_children() if name not in ("shared", "encoder", "decoder")]
    heads = [name for name in heads if has_parameters(getattr(model, name))]
    if not heads:
        return None
    return see_through(model, heads[-1])


def _block(layers: nn.ModuleList, place: int, index: int) -> Block:
    site = see_through(layers, str(place))
    parts = [see_through(site.get().layer, str(number)).get() for number in range(len(site.get().layer))]
    attention = _attention(see_through(parts[0], "SelfAttention"))
    crossed = [_attention(see_through(part, "EncDecAttention")).linears for part in parts[1:-1]]
    mlp = _mlp(parts[-1])
    norms = tuple(see_through(part, "layer_norm") for part in parts)
    linears = attention.linears
    for sites in crossed:
        linears += sites
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=norms,
        attention_norms=norms[:1],
        mlp_norms=norms[-1:],
        removable=place > 0,
        linears=linears + mlp.linears,
    )


def _attention(site: Site) -> Attention:
    """It takes biases by relative position for a fixed number of keys, so that no prefix fits in."""
    module = site.get()
    return Attention(
        site=site,
        q=see_through(module, "q"),
        k=see_through(module, "k"),
        v=see_through(module, "v"),
        o=see_through(module, "o"),
        num_heads=module.n_heads,
        num_kv_heads=module.n_heads,
        head_dim=module.key_value_proj_dim,
        causal=module.is_decoder and site.name == "SelfAttention",
        removable=False,  # it hands the biases of the first block on
    )


def _mlp(layer: nn.Module) -> MLP:
    linears = {"up": "wi", "down": "wo"}
    if hasattr(see_through(layer, "DenseReluDense").get(), "wi_0"):
        linears = {"gate": "wi_0", "up": "wi_1", "down": "wo"}
    return mlp_at(layer, "DenseReluDense", linears, "act")
