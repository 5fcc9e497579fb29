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

from ..anatomy import is_linear
from ..errors import ModelError
from .backbone import Attention, FeedForward, Layer
from .modeling import GraphsGPT
from .vocabulary import FIRST_NODE

# Shapes: B molecules, n tokens of a block, S slots, H heads, d numbers per head, D width, A atoms.

Product = Callable[[Tensor], Tensor]


class CachedDecoder:
    """The decoder of a model, for inference; its weights are copied at the start.

    Plain linear layers are computed by oneDNN with packed weights where that is there (CPU); anything that stands in
    the place of one, or of a whole FFN, is called as it is.
    """

    def __init__(self, model: GraphsGPT, rows: int = 1) -> None:
        decoder, config = model.decoder, model.config
        self.decoder, self.heads_count = decoder, config.num_attention_heads
        self.layers = [_LayerStep(layer, 2 * rows) for layer in decoder.layers]
        tokens, kind = decoder.embed.token.table(), decoder.embed.identifier.table()
        is_node = torch.arange(len(tokens), device=tokens.device).sub(FIRST_NODE) < config.num_atoms
        self.tokens = tokens + kind[is_node.long()]
        self.first, self.second = decoder.embed.positions.halves()
        self.cache = tokens.new_empty(0)
        self.bias = tokens.new_empty(0)
        self.used = 0

    def start(self, words: Tensor, capacity: int = 64) -> Tensor:
        """Begin with words (B, K, D); the states of BOS, (B, D)."""
        x = self.decoder.prefix(words)
        rows, self.used = len(x), 0
        self.cache, self.bias = x.new_empty(0), x.new_empty(0)
        self._grow(rows, max(capacity, x.shape[1]))
        words_hidden = x.new_zeros(x.shape[1], x.shape[1])
        words_hidden[:-1, -1] = -torch.inf
        return self._run(x, x.new_zeros(rows, x.shape[1]), words_hidden)[:, -1]

    def append(self, tokens: Tensor, pairs: Tensor, present: Tensor) -> Tensor:
        """States (B, n, D) of the next block: token ids (B, n), node ids (B, n, 2), and which of them exist (B, n)."""
        positions = self.decoder.embed.positions
        place = self.first[pairs[..., 0]] + self.second[pairs[..., 1]]
        x = self.tokens[tokens] + positions.norm(place)
        if self.used + x.shape[1] > self.cache.shape[-2]:
            self._grow(len(x), 2 * self.cache.shape[-2])
        hidden = x.new_zeros(present.shape).masked_fill_(~present, -torch.inf)
        return self._run(x, hidden, None)

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.cache = self.cache.index_select(2, rows)
        self.bias = self.bias.index_select(0, rows)

    def _grow(self, rows: int, capacity: int) -> None:
        """Buffers for keys and values (layers, 2, B, H, S, d) and for what attention adds to a slot (B, S)."""
        old_cache, old_bias = self.cache, self.bias
        width = self.tokens.shape[1]
        shape = (len(self.layers), 2, rows, self.heads_count, capacity, width // self.heads_count)
        self.cache, self.bias = self.tokens.new_empty(shape), self.tokens.new_empty(rows, capacity)
        if self.used:
            self.cache[..., : self.used, :] = old_cache[..., : self.used, :]
            self.bias[:, : self.used] = old_bias[:, : self.used]

    def _run(self, x: Tensor, hidden: Tensor, among: Tensor | None) -> Tensor:
        """Write the block's keys and values and return its states. `hidden` (B, n) is what later attention adds to its
        slots, `among` (n, n) what attention inside the block adds."""
        start, self.used = self.used, self.used + x.shape[1]
        self.bias[:, start : self.used] = hidden
        bias = self.bias[:, None, None, : self.used]
        if among is not None:
            bias = bias + among
        bias = bias.expand(-1, -1, x.shape[1], -1)
        rows = x.flatten(0, 1)
        for layer, cache in zip(self.layers, self.cache, strict=True):
            rows = layer(rows, len(x), cache, start, bias)
        return self.decoder.norm(rows).view(x.shape)


class _LayerStep:
    """One layer on the tokens of a block."""

    def __init__(self, layer: Layer, rows: int) -> None:
        attention = layer.self_attn
        if not isinstance(attention, Attention):
            raise ModelError(f"decoding knows no {type(attention).__name__} in the place of an attention")
        self.norms = layer.input_layernorm, layer.post_attention_layernorm
        self.qkv = product([attention.q_proj, attention.k_proj, attention.v_proj], rows)
        self.o = product([attention.o_proj], rows)
        self.mlp = _ffn(layer.mlp, rows)

    def __call__(self, x: Tensor, molecules: int, cache: Tensor, start: int, bias: Tensor) -> Tensor:
        """(B n, D) to (B n, D)."""
        heads, width = cache.shape[2], cache.shape[4]
        qkv = self.qkv(self.norms[0](x)).view(molecules, -1, 3, heads, width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        stop = start + q.shape[2]
        cache[0, :, :, start:stop], cache[1, :, :, start:stop] = k, v
        out = F.scaled_dot_product_attention(q, cache[0, :, :, :stop], cache[1, :, :, :stop], attn_mask=bias)
        x = x + self.o(out.transpose(1, 2).reshape(x.shape))
        return x + self.mlp(self.norms[1](x))


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
