"""GraphGPT one block of tokens at a time, with keys and values kept.

Blocks never look forward, so the states of a prefix are final. Positions are in the graph, not in the sequence, so it
does not matter in which slot of the cache a token lies: all molecules of a batch write to the same slots, and a slot
that a molecule does not need (a ring closure brings no atom) is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import is_linear
from ...anatomy.removed import RemovedAttention
from ...errors import ModelError
from ..model.backbone import Attention, FeedForward
from ..model.modeling import GraphsGPT
from ..tokens.vocabulary import FIRST_NODE

# Shapes: B molecules, n tokens of a block, m of these, S slots, U slots in use, H heads, d numbers per head, D width,
# A atoms, V token ids.

Product = Callable[[Tensor], Tensor]


class CachedDecoder:
    """The decoder of a model, for inference; its weights are copied, so make it again after training.

    Plain linear layers are computed by oneDNN with packed weights where that is there (CPU); anything that stands in
    the place of one, or of a whole FFN, is called as it is. `rows`: molecules of a batch, a hint for packing.
    """

    @torch.no_grad()
    def __init__(self, model: GraphsGPT, rows: int = 64) -> None:
        decoder = model.decoder
        self.model = model
        self.heads = model.config.num_attention_heads
        self.layers = [_LayerStep(layer, 2 * rows) for layer in decoder.layers]
        # What a token's class and kind add to its vector, and what each end of its place adds, once for all.
        token_VD = decoder.embed.token.table()
        kind_2D = decoder.embed.identifier.table()
        is_node_V = torch.arange(len(token_VD), device=token_VD.device) < FIRST_NODE + model.config.num_atoms
        self.tokens = token_VD + kind_2D[is_node_V.long()]
        self.first, self.second = decoder.embed.positions.halves()
        # Keys, values and bias of the batch are views of the first rows of larger buffers, or copies after `keep`.
        self.used = 0
        self.keys = token_VD.new_empty(0, 0, 0, 0, 0)
        self.values = token_VD.new_empty(0, 0, 0, 0, 0)
        self.bias = token_VD.new_empty(0, 0)
        self.buffers = (self.keys, self.values, self.bias)

    @torch.no_grad()
    def start(self, words: Tensor, capacity: int = 64) -> Tensor:
        """Begin with words (B, K, D); the state of BOS, (B, D)."""
        x = self.model.decoder.prefix(words)
        rows, block = x.shape[:2]
        self.used = 0
        most_rows, most_slots = self.buffers[2].shape
        if rows > most_rows or block > most_slots:
            self._reserve(rows, max(capacity, block))
        keys, values, bias = self.buffers
        self.keys = keys[:, :rows]
        self.values = values[:, :rows]
        self.bias = bias[:rows]
        inside = x.new_zeros(block, block)
        inside[:-1, -1] = -torch.inf  # words do not see BOS
        return self._run(x, block - 1, x.new_zeros(rows, block), inside)

    @torch.no_grad()
    def append(self, tokens: Tensor, pairs: Tensor, present: Tensor, edge: int) -> Tensor:
        """The state (B, D) of the edge of the next block, whose tokens have the ids `tokens` (B, n) and lie at `pairs`
        (B, n, 2); `present` (B, n): which of them exist, `edge`: which of them is the edge."""
        place_BnD = self.first[pairs[..., 0]] + self.second[pairs[..., 1]]
        x_BnD = self.tokens[tokens] + self.model.decoder.embed.positions.norm(place_BnD)
        capacity = self.bias.shape[1]
        if self.used + x_BnD.shape[1] > capacity:
            self._reserve(len(x_BnD), 2 * capacity)
        hidden_Bn = x_BnD.new_zeros(present.shape).masked_fill_(~present, -torch.inf)
        return self._run(x_BnD, edge, hidden_Bn)

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.keys = self.keys.index_select(1, rows)
        self.values = self.values.index_select(1, rows)
        self.bias = self.bias.index_select(0, rows)

    def _reserve(self, rows: int, slots: int) -> None:
        """Buffers: keys (layers, B, H, d, S), values (layers, B, H, S, d), and what attention adds to a slot (B, S)."""
        layers = len(self.layers)
        width = self.tokens.shape[1] // self.heads
        keys = self.tokens.new_empty(layers, rows, self.heads, width, slots)
        values = self.tokens.new_empty(layers, rows, self.heads, slots, width)
        bias = self.tokens.new_empty(rows, slots)
        if self.used:
            keys[..., : self.used] = self.keys[..., : self.used]
            values[..., : self.used, :] = self.values[..., : self.used, :]
            bias[:, : self.used] = self.bias[:, : self.used]
        self.keys = keys
        self.values = values
        self.bias = bias
        self.buffers = (keys, values, bias)

    def _run(self, x: Tensor, read: int, hidden: Tensor, inside: Tensor | None = None) -> Tensor:
        """Write the block's keys and values; the state (B, D) of its token `read`. `hidden` (B, n): what attention adds
        to its slots, from now on; `inside` (n, n): what it adds in this block alone."""
        rows, block = x.shape[:2]
        start = self.used
        self.used = start + block
        self.bias[:, start : self.used] = hidden
        bias_BHnU = self.bias[:, None, None, : self.used].expand(rows, self.heads, block, -1)
        if inside is not None:
            bias_BHnU = bias_BHnU + inside
        last = len(self.layers) - 1
        chosen = slice(None)
        for place, layer in enumerate(self.layers):
            if place == last:  # of which only this is read
                chosen = slice(read, read + 1)
            x = layer(x, self.keys[place], self.values[place], start, bias_BHnU, chosen)
        return self.model.decoder.norm(x[:, 0])


class _LayerStep:
    """One layer on the tokens of a block."""

    def __init__(self, layer: Any, rows: int) -> None:
        removed = isinstance(layer.self_attn, RemovedAttention)
        self.attention = None if removed else _AttentionStep(layer.self_attn, rows)
        self.before_attention = layer.input_layernorm
        self.before_ffn = layer.post_attention_layernorm
        self.ffn = _ffn(layer.mlp, rows)

    def __call__(self, x: Tensor, keys: Tensor, values: Tensor, start: int, bias: Tensor, chosen: slice) -> Tensor:
        """(B, n, D) to (B, m, D) for the m `chosen` tokens. Keys (B, H, d, S) and values (B, H, S, d) of all n are
        written from slot `start` on; `bias` (B, H, n, U): what is added to the scores of the slots in use."""
        x_BmD = x[:, chosen]
        if self.attention is not None:
            x_BmD = x_BmD + self.attention(self.before_attention(x), keys, values, start, bias, chosen)
        return x_BmD + self.ffn(self.before_ffn(x_BmD))


class _AttentionStep:
    """What the attention of a layer adds to the tokens of a block; see `_LayerStep`."""

    def __init__(self, attention: Any, rows: int) -> None:
        if not isinstance(attention, Attention):
            raise ModelError(f"decoding knows no {type(attention).__name__} in the place of an attention")
        self.qkv = product([attention.q_proj, attention.k_proj, attention.v_proj], rows)
        self.o = product([attention.o_proj], rows)

    def __call__(self, x: Tensor, keys: Tensor, values: Tensor, start: int, bias: Tensor, chosen: slice) -> Tensor:
        rows, heads, width = keys.shape[:3]
        q_BnHd, k_BnHd, v_BnHd = self.qkv(x).view(rows, -1, 3, heads, width).unbind(2)
        used = start + x.shape[1]
        keys[..., start:used] = k_BnHd.permute(0, 2, 3, 1)
        values[:, :, start:used] = v_BnHd.transpose(1, 2)
        # Molecules and heads become one axis, z, so that attention is two batched products.
        q_zmd = q_BnHd[:, chosen].transpose(1, 2).flatten(0, 1)
        keys_zdU = keys[..., :used].flatten(0, 1)
        values_zUd = values[:, :, :used].flatten(0, 1)
        bias_zmU = bias[:, :, chosen].flatten(0, 1)
        scores_zmU = torch.baddbmm(bias_zmU, q_zmd, keys_zdU, alpha=width**-0.5)
        out_BHmd = torch.bmm(scores_zmU.softmax(-1), values_zUd).view(rows, heads, -1, width)
        return self.o(out_BHmd.transpose(1, 2).flatten(2))


def product(linears: list[Any], rows: int, activation: str = "none") -> Product:
    """One product for linear layers without bias that share an input, (rows, in) to (rows, outs joined).

    `rows` is a hint for packing; `activation` "none" or "swish" is applied after the product.
    """
    act = F.silu if activation == "swish" else nn.Identity()
    for linear in linears:
        if not is_linear(linear) or linear.bias is not None:
            return partial(_called, linears, act)
    weight = torch.cat([linear.weight.detach() for linear in linears])
    if _packs(weight):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        return partial(_packed, packed, activation)
    return partial(_joined, weight, act)


def _called(linears: list[Any], act: Product, x: Tensor) -> Tensor:
    return act(torch.cat([linear(x) for linear in linears], dim=-1))


def _joined(weight: Tensor, act: Product, x: Tensor) -> Tensor:
    return act(F.linear(x, weight))


def _packed(packed: Tensor, activation: str, x: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, packed, None, activation, [], "")


def _packs(weight: Tensor) -> bool:
    """Whether oneDNN can compute with this weight."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32


def _ffn(ffn: nn.Module, rows: int) -> Product:
    if not isinstance(ffn, FeedForward) or not is_linear(ffn.up_proj) or not is_linear(ffn.down_proj):
        return ffn
    up = product([ffn.up_proj], rows, "swish")
    down = product([ffn.down_proj], rows)

    def run(x: Tensor) -> Tensor:
        return down(up(x))

    return run
