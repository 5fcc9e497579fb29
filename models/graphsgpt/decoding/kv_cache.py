"""GraphGPT one block of tokens at a time, with keys and values kept.

Blocks never look forward, so the states of a prefix are final. Positions are in the graph, not in the sequence, so it
does not matter in which slot of the cache a token lies: all molecules of a batch write to the same slots, and a slot
that a molecule does not need (a ring closure brings no atom) is hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import is_linear
from ...errors import ModelError
from ..model.backbone import Attention, FeedForward
from ..model.modeling import GraphsGPT
from ..tokens.vocabulary import FIRST_NODE

# Shapes: B molecules, n tokens of a block, S slots, H heads, d numbers per head, D width, A atoms.

Product = Callable[[Tensor], Tensor]


class CachedDecoder:
    """The decoder of a model, for inference; its weights are copied, so make it anew after training.

    Plain linear layers are computed by oneDNN with packed weights where that is there (CPU); anything that stands in
    the place of one, or of a whole FFN, is called as it is. `rows`: molecules of a batch, a hint for packing.
    """

    @torch.no_grad()
    def __init__(self, model: GraphsGPT, rows: int = 64) -> None:
        decoder, config = model.decoder, model.config
        self.model, self.heads, self.used = model, config.num_attention_heads, 0
        self.layers = [_LayerStep(layer, 2 * rows) for layer in decoder.layers]
        tokens, kind = decoder.embed.token.table(), decoder.embed.identifier.table()
        is_node = torch.arange(len(tokens), device=tokens.device) < FIRST_NODE + config.num_atoms
        self.tokens = tokens + kind[is_node.long()]
        self.first, self.second = decoder.embed.positions.halves()
        self.keys = self.values = self.bias = tokens.new_empty(0, 0, 0, 0, 0)
        self.buffers = self.keys, self.values, self.bias

    @torch.no_grad()
    def start(self, words: Tensor, capacity: int = 64) -> Tensor:
        """Begin with words (B, K, D); the state of BOS, (B, D)."""
        x = self.model.decoder.prefix(words)
        rows, block = x.shape[:2]
        self.used = 0
        if rows > self.buffers[2].shape[0] or block > self.buffers[2].shape[1]:
            self._reserve(rows, max(capacity, block))
        keys, values, bias = self.buffers
        self.keys, self.values, self.bias = keys[:, :rows], values[:, :rows], bias[:rows]
        inside = x.new_zeros(block, block)
        inside[:-1, -1] = -torch.inf  # words do not see BOS
        return self._run(x, block - 1, x.new_zeros(rows, block), inside)

    @torch.no_grad()
    def append(self, tokens: Tensor, pairs: Tensor, present: Tensor, edge: int) -> Tensor:
        """The state (B, D) of the edge of the next block, whose tokens have the ids `tokens` (B, n) and lie at `pairs`
        (B, n, 2); `present` (B, n): which of them exist, `edge`: which of them is the edge."""
        place = self.first[pairs[..., 0]] + self.second[pairs[..., 1]]
        x = self.tokens[tokens] + self.model.decoder.embed.positions.norm(place)
        capacity = self.bias.shape[1]
        if self.used + x.shape[1] > capacity:
            self._reserve(len(x), 2 * capacity)
        return self._run(x, edge, x.new_zeros(present.shape).masked_fill_(~present, -torch.inf))

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.keys, self.values = self.keys.index_select(1, rows), self.values.index_select(1, rows)
        self.bias = self.bias.index_select(0, rows)

    def _reserve(self, rows: int, slots: int) -> None:
        """Buffers: keys (layers, B, H, d, S), values (layers, B, H, S, d), and what attention adds to a slot (B, S)."""
        old, used = (self.keys, self.values, self.bias), self.used
        shape = (len(self.layers), rows, self.heads, self.tokens.shape[1] // self.heads)
        new = self.tokens.new_empty
        self.buffers = new(*shape, slots), new(*shape[:3], slots, shape[3]), new(rows, slots)
        self.keys, self.values, self.bias = self.buffers
        if used:
            self.keys[..., :used], self.values[..., :used, :] = old[0][..., :used], old[1][..., :used, :]
            self.bias[:, :used] = old[2][:, :used]

    def _run(self, x: Tensor, read: int, hidden: Tensor, inside: Tensor | None = None) -> Tensor:
        """Write the block's keys and values; the state (B, D) of its token `read`. `hidden` (B, n): what attention adds
        to its slots, from now on; `inside` (n, n): what it adds in this block alone."""
        rows, block = x.shape[:2]
        start, self.used = self.used, self.used + block
        self.bias[:, start : self.used] = hidden
        bias = self.bias[:, None, None, : self.used].expand(rows, self.heads, block, -1)
        bias = bias if inside is None else bias + inside
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):
            chosen = slice(read, read + 1) if place == last else slice(None)  # of the last layer only this is read
            x = layer(x, self.keys[place], self.values[place], start, bias, chosen)
        return self.model.decoder.norm(x[:, 0])


class _LayerStep:
    """One layer on the tokens of a block."""

    def __init__(self, layer: Any, rows: int) -> None:
        attention = layer.self_attn
        if not isinstance(attention, Attention):
            raise ModelError(f"decoding knows no {type(attention).__name__} in the place of an attention")
        self.before_attention, self.before_ffn = layer.input_layernorm, layer.post_attention_layernorm
        self.qkv = product([attention.q_proj, attention.k_proj, attention.v_proj], rows)
        self.o = product([attention.o_proj], rows)
        self.ffn = _ffn(layer.mlp, rows)

    def __call__(self, x: Tensor, keys: Tensor, values: Tensor, start: int, bias: Tensor, chosen: slice) -> Tensor:
        """(B, n, D) to (B, m, D) for the m `chosen` tokens. Keys (B, H, d, S) and values (B, H, S, d) of all n are
        written from slot `start` on; `bias` (B, H, n, S'): what is added to the scores of the slots in use."""
        rows, heads, width = keys.shape[:3]
        q, k, v = self.qkv(self.before_attention(x)).view(rows, -1, 3, heads, width).unbind(2)
        stop = start + q.shape[1]
        keys[..., start:stop], values[:, :, start:stop] = k.permute(0, 2, 3, 1), v.transpose(1, 2)
        past_keys, past_values = keys[..., :stop].flatten(0, 1), values[:, :, :stop].flatten(0, 1)
        x, q, bias = x[:, chosen], q[:, chosen].transpose(1, 2).flatten(0, 1), bias[:, :, chosen].flatten(0, 1)
        scores = torch.baddbmm(bias, q, past_keys, alpha=width**-0.5)
        out = torch.bmm(scores.softmax(-1), past_values).view(rows, heads, -1, width)
        x = x + self.o(out.transpose(1, 2).flatten(2))
        return x + self.ffn(self.before_ffn(x))


def product(linears: list[Any], rows: int, activation: str = "none") -> Product:
    """One product for linear layers without bias that share an input, (rows, in) to (rows, outs joined).

    `rows` is a hint for packing; `activation` "none" or "swish" is applied after the product.
    """
    act = F.silu if activation == "swish" else nn.Identity()
    if not all(is_linear(linear) and linear.bias is None for linear in linears):
        return lambda x: act(torch.cat([linear(x) for linear in linears], dim=-1))
    weight = torch.cat([linear.weight.detach() for linear in linears])
    if not _packs(weight):
        return lambda x: act(F.linear(x, weight))
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    run = torch.ops.mkldnn._linear_pointwise
    return lambda x: run(x, packed, None, activation, [], "")


def _packs(weight: Tensor) -> bool:
    """Whether oneDNN can compute with this weight."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _ffn(ffn: nn.Module, rows: int) -> Product:
    if not isinstance(ffn, FeedForward) or not all(map(is_linear, (ffn.up_proj, ffn.down_proj))):
        return ffn
    up, down = product([ffn.up_proj], rows, "swish"), product([ffn.down_proj], rows)
    return lambda x: down(up(x))
