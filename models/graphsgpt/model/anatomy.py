"""Our own GraphsGPT: its encoder, its decoder, or both, the encoder's blocks first."""

from typing import Any

from torch import Tensor, nn

from ...anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, Site, see_through
from ...attention.attention_product import attention
from ...attention.prefixed_attention import extended_mask, joined, unwrapped


def describe(model: Any) -> Anatomy:
    """The anatomy; the head is that of the bonds, the final norm that of the last half."""
    halves = [model]
    head = None
    if hasattr(model, "heads"):  # both halves
        halves = [model.encoder, model.decoder]
        head = see_through(model.heads, "bond")
    blocks: list[Block] = []
    embeddings: list[Site] = []
    for half in halves:
        embeddings += _embeddings(half)
        for place in range(len(half.layers)):
            blocks.append(_block(half.layers, place, len(blocks)))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=model.config.hidden_size,
        embeddings=tuple(embeddings),
        final_norm=see_through(halves[-1], "norm"),
        head=head,
    )


def _embeddings(half: nn.Module) -> list[Site]:
    names = ("embed", "word", "word_positions")
    return [see_through(half, name) for name in names if hasattr(half, name)]


def _block(layers: nn.ModuleList, place: int, index: int) -> Block:
    site = see_through(layers, str(place))
    layer = site.get()
    attending, mlp = _attention(layer), _mlp(layer)
    return Block(
        index=index,
        site=site,
        attention=attending,
        mlp=mlp,
        norms=(see_through(layer, "input_layernorm"), see_through(layer, "post_attention_layernorm")),
        linears=attending.linears + mlp.linears,
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "self_attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    return Attention(
        site=site,
        q=see_through(module, "q_proj"),
        k=see_through(module, "k_proj"),
        v=see_through(module, "v_proj"),
        o=see_through(module, "o_proj"),
        num_heads=module.num_heads,
        num_kv_heads=module.num_heads,
        head_dim=module.head_dim,
        prefixed=_prefixed,
        returns_tuple=False,
    )


def _prefixed(module: nn.Module, keys: Tensor, values: Tensor, x: Tensor, see: Tensor) -> Tensor:
    own = unwrapped(module)
    q, k, v = (
        projection(x).unflatten(-1, (own.num_heads, own.head_dim)).transpose(1, 2)
        for projection in (own.q_proj, own.k_proj, own.v_proj)
    )
    mask = extended_mask(see, x, keys.shape[1], causal=False)
    return own.o_proj(attention(q, joined(keys, k), joined(values, v), mask).transpose(1, 2).flatten(2))


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    up = see_through(module, "up_proj")
    return MLP(
        site=site,
        output=site,
        kind="plain",
        up=up,
        down=see_through(module, "down_proj"),
        activation=module.act_fn,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
