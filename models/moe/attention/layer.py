"""The layer that takes the place of a dense attention: its groups of heads are experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.cache_utils import Cache

from ...anatomy import Attention, Site
from ...errors import ModelError
from ..routing.balance import balance_in_training
from ..routing.choices import Routing
from ..routing.router import LinearRouter
from .cache import layer_of
from .config import AttnMoEConfig
from .heads import Heads, Rope, attend
from .keys_values import FullMemory, Memory, RoutedMemory
from .token_groups import Layout, layout_of, plan_pairs

# Shapes: B batch rows, S new tokens of a row, T = B * S, D width, N experts, R query heads and C key/value heads of an
# expert, H head size, n tokens of one expert, L keys.


class AttentionMoE(nn.Module):
    """y = s * sum over the k chosen experts of g_e A_e(x) + b_o; see `AttnMoEConfig`.

    Called as the attention layers of decoders of transformers are. `qkv` (N, (R + 2 C) H, D) holds the rows of each
    expert's queries, then keys, then values; `out` (N, D, R H). `dense_class` and `dense_config` are those of the
    attention this was made from, whose norms of queries and keys serve all experts; `layer_idx` is the index under
    which its keys and values lie in a cache. `aux` is as in `MoEFFN`; padding does not count: the
    layer sees the mask itself.
    """

    def __init__(
        self,
        *,
        config: AttnMoEConfig,
        router: LinearRouter,
        heads: Heads,
        qkv: Tensor,
        qkv_bias: Tensor | None,
        out: Tensor,
        out_bias: Tensor | None,
        original: Any,
    ) -> None:
        super().__init__()
        self.config = config
        self.router = router
        self.heads = heads
        self.qkv = nn.Parameter(qkv)
        self.out = nn.Parameter(out)
        self.qkv_bias = None if qkv_bias is None else nn.Parameter(qkv_bias)
        self.out_bias = None if out_bias is None else nn.Parameter(out_bias)
        self.q_norm = getattr(original, "q_norm", None)
        self.k_norm = getattr(original, "k_norm", None)
        self.scaling = original.scaling
        self.dropout = original.attention_dropout
        self.dense_class = type(original)
        self.dense_config = original.config
        self.layer_idx = original.layer_idx
        self.aux: Tensor | None = None

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        cache: Cache | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Attention output (B, S, D) of normed hidden states (B, S, D); `past_key_values` is a name of `cache`.

        Raises `ModelError` for `output_attentions`: tokens see those of their experts only, and no map is made.
        """
        if kwargs.get("output_attentions"):
            raise ModelError(
                "attention experts give no attention maps: call the model without output_attentions; "
                "where tokens go, routing_probe(model) says"
            )
        cache = past_key_values if cache is None else cache
        rope = Rope.of(position_embeddings, len(hidden_states))
        prepare = self._routed_memory if self.config.mode == "drop_kv" else self._full_memory
        layout, memory = prepare(hidden_states, rope, attention_mask, cache)
        out_TD = self._experts(hidden_states, rope, layout, memory)
        if self.out_bias is not None:
            out_TD = out_TD + self.out_bias
        return out_TD.view_as(hidden_states), None

    def _routed_memory(
        self, x_BSD: Tensor, rope: Rope, mask: Tensor | None, cache: Cache | None
    ) -> tuple[Layout, RoutedMemory]:
        keeper = None if cache is None else layer_of(cache, self.layer_idx)
        past = 0 if keeper is None else keeper.seen
        if past:
            mask = _explicit(mask, x_BSD, past)
        layout = layout_of(mask, x_BSD, blocks=not past, packed=keeper is None)
        if keeper is not None:
            keeper.start(*x_BSD.shape[:2], experts=self.heads.experts)
        return layout, RoutedMemory(layout, keeper, past)

    def _full_memory(
        self, x_BSD: Tensor, rope: Rope, mask: Tensor | None, cache: Cache | None
    ) -> tuple[Layout, FullMemory]:
        past = 0 if cache is None else cache.get_seq_length(self.layer_idx)
        keys, values = self._all_keys(x_BSD, rope)
        if cache is not None:
            if cache.is_compileable:
                raise ModelError(f"attention experts cannot fill a {type(cache).__name__}: use a DynamicCache")
            keys, values = cache.update(keys, values, self.layer_idx)
        layout = layout_of(_explicit(mask, x_BSD, past), x_BSD, blocks=False, packed=False)
        return layout, FullMemory(layout, keys, values, self.heads.experts)

    def _all_keys(self, x_BSD: Tensor, rope: Rope) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens for all experts, both (B, N C, S, H)."""
        heads = self.heads
        batch = len(x_BSD)
        parts = []
        for weights in self._weights():
            weights = weights.rows(heads.query * heads.size, None)
            parts.append(F.linear(x_BSD.flatten(0, 1), weights.qkv, weights.bias))
        # (T, N, 2, C, H): of each token and expert, keys and values.
        kv = torch.stack(parts, dim=1).unflatten(-1, (2, heads.key_value, heads.size))
        keys, values = kv.unbind(2)
        keys = keys.flatten(1, 2)
        values = values.flatten(1, 2)
        if self.k_norm is not None:
            keys = self.k_norm(keys)
        keys = rope.rotate(keys)
        return keys.unflatten(0, (batch, -1)).transpose(1, 2), values.unflatten(0, (batch, -1)).transpose(1, 2)

    def _experts(self, x_BSD: Tensor, rope: Rope, layout: Layout, memory: Memory) -> Tensor:
        """Weighted sum of the chosen experts (T, D), without the bias."""
        x_TD = x_BSD.flatten(0, 1)
        routing = self._route(x_TD, layout)
        plan = plan_pairs(routing.index, layout, self.heads.experts)
        # What each (token, expert) pair needs, gathered once for all experts.
        token_P = plan.token
        place_P = token_P % x_BSD.shape[1]
        x_PD = x_TD.index_select(0, token_P)
        weight_P1 = routing.weight.flatten().index_select(0, plan.pair).unsqueeze(-1)
        fractions = plan.by_expert(token_P, place_P, x_PD, weight_P1, *rope.at(token_P))
        queries_only = isinstance(memory, FullMemory)
        out_TD = torch.zeros_like(x_TD)
        for expert, (fraction, weights) in enumerate(zip(fractions, self._weights(), strict=True)):
            token_n, place_n, x_nD, weight_n1, cos, sin = fraction
            if len(token_n):
                parts = self._project(x_nD, weights, Rope(cos, sin), queries_only=queries_only)
                mixed = torch.cat(list(self._mix(expert, plan.counts[expert], place_n, parts, memory)))
                y_nD = F.linear(mixed * weight_n1.to(mixed.dtype), weights.out)
                out_TD.index_add_(0, token_n, y_nD.to(out_TD.dtype))  # under autocast the product is narrower than x
        return out_TD

    def _route(self, x_TD: Tensor, layout: Layout) -> Routing:
        routing = self.router(x_TD)
        if self.training:
            self.aux = balance_in_training(self.config, self.router, routing, layout.present())
        return routing

    def _mix(
        self, expert: int, counts: list[int], place_n: Tensor, parts: Sequence[Tensor], memory: Memory
    ) -> Iterator[Tensor]:
        """Mixed values (tokens, R H) of one expert, row by row."""
        dropout = self.dropout if self.training else 0.0
        pieces = [part.split(counts) for part in (place_n, *parts)]
        for row, (place, q, *kv) in enumerate(zip(*pieces, strict=True)):
            if len(q):
                seen = memory.look(row, expert, place, *kv)
                yield attend(q, seen, scaling=self.scaling, dropout=dropout)

    def _project(self, x_nD: Tensor, weights: Expert, rope: Rope, *, queries_only: bool) -> tuple[Tensor, ...]:
        """Queries (n, R, H), and keys and values (n, C, H), normed and rotated."""
        heads = self.heads
        if queries_only:
            weights = weights.rows(0, heads.query * heads.size)
        qkv = F.linear(x_nD, weights.qkv, weights.bias).unflatten(-1, (-1, heads.size))
        if queries_only:
            q = qkv if self.q_norm is None else self.q_norm(qkv)
            return (rope.rotate(q),)
        qk, v = qkv.split((heads.query + heads.key_value, heads.key_value), dim=1)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk.split((heads.query, heads.key_value), dim=1)
            qk = torch.cat((self.q_norm(q), self.k_norm(k)), dim=1)
        return *rope.rotate(qk).split((heads.query, heads.key_value), dim=1), v

    def _weights(self) -> Iterator[Expert]:
        # unbind, not indices: the backward of an index makes a zero tensor as large as all experts, once for each.
        bias = [None] * self.heads.experts if self.qkv_bias is None else self.qkv_bias.unbind()
        return map(Expert, self.qkv.unbind(), bias, self.out.unbind())

    def active_parameters(self) -> int:
        """Parameters that work on one token; with `keep_kv`, keys and values of all experts do."""
        routed = self.qkv.numel() + self.out.numel()
        per_row = self.qkv.shape[2]
        if self.qkv_bias is not None:
            routed += self.qkv_bias.numel()
            per_row += 1
        if self.config.mode == "keep_kv":
            kv_rows = 2 * self.heads.key_value * self.heads.size * self.heads.experts
            routed -= kv_rows * per_row
        total = sum(parameter.numel() for parameter in self.parameters())
        return total - routed + routed * self.config.top_k // self.heads.experts

    def describe_attention(self, site: Site) -> Attention:
        """This layer as the anatomy sees it: heads, but no linear sites."""
        return Attention(
            site=site,
            num_heads=self.heads.experts * self.heads.query,
            num_kv_heads=self.dense_config.num_key_value_heads,
            head_dim=self.heads.size,
            causal=True,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the last loss, whose graph can be neither copied nor pickled."""
        return {**self.__dict__, "aux": None}


class Expert(NamedTuple):
    """Weights of one expert: qkv ((R + 2 C) H, D) and its bias, out (D, R H)."""

    qkv: Tensor
    bias: Tensor | None
    out: Tensor

    def rows(self, start: int, stop: int | None) -> Expert:
        """With only these rows of qkv."""
        bias = None if self.bias is None else self.bias[start:stop]
        return Expert(self.qkv[start:stop], bias, self.out)


def _explicit(mask: Tensor | None, x_BSD: Tensor, past: int) -> Tensor | None:
    """A missing mask is a causal one; one new token needs none."""
    length = x_BSD.shape[1]
    if mask is not None or length == 1:
        return mask
    return x_BSD.new_ones(1, 1, length, past + length, dtype=torch.bool).tril(past)
