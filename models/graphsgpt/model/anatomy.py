"""Our own GraphsGPT: its encoder, its decoder, or both, the encoder's blocks first."""

from typing import Any

from torch import Tensor, nn

from ...anatomy import Anatomy, Block, Site, see_through
from ...anatomy.building import attention_at, block_at, mlp_at
from ...attention.attention_product import attention
from ...attention.prefixed_attention import extended_mask, joined, unwrapped


def describe(model: Any) -> Anatomy:
    """The anatomy; the head is that of the bonds or of the task, the final norm that of the last half that it reads."""
    halves = [model]
    head = None
    outside: tuple[Site, ...] = ()
    if hasattr(model, "molecule_head"):
        halves = [model.encoder]
        head = see_through(model.molecule_head, "out_proj")
        outside = (see_through(model, "decoder"), see_through(model, "heads"))
    elif hasattr(model, "heads"):  # both halves
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
        outside=outside,
    )


def _embeddings(half: nn.Module) -> list[Site]:
    names = ("embed", "word", "word_positions")
    return [see_through(half, name) for name in names if hasattr(half, name)]


def _block(layers: nn.ModuleList, place: int, index: int) -> Block:
    site = see_through(layers, str(place))
    layer = site.get()
    attending = attention_at(layer, "self_attn", prefixed=_prefixed, returns_tuple=False)
    mlp = mlp_at(layer, "mlp", {"up": "up_proj", "down": "down_proj"}, "act_fn")
    return block_at(site, index, attending, mlp, ("input_layernorm", "post_attention_layernorm"))


def _prefixed(module: nn.Module, keys: Tensor, values: Tensor, x: Tensor, see: Tensor) -> Tensor:
    own = unwrapped(module)
    q, k, v = (
        projection(x).unflatten(-1, (own.num_heads, own.head_dim)).transpose(1, 2)
        for projection in (own.q_proj, own.k_proj, own.v_proj)
    )
    mask = extended_mask(see, x, keys.shape[1], causal=False)
    return own.o_proj(attention(q, joined(keys, k), joined(values, v), mask).transpose(1, 2).flatten(2))
