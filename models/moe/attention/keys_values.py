"""Keys and values that the queries of an expert see: of routed tokens, or of all tokens."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from .cache import Cell, ExpertCacheLayer
from .token_groups import Layout

# Shapes: n queries, C key/value heads of an expert, L keys, H head size, B batch rows, N experts.


class Seen(NamedTuple):
    """Keys and values (C, L, H); `mask` (n, L) of what a query may see, or None: all, or up to itself if `causal`."""

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    causal: bool


class Memory(Protocol):
    """Where keys and values come from."""

    def look(self, row: int, expert: int, place_n: Tensor, *kv: Tensor) -> Seen:
        """What tokens of a row that chose an expert see; `place_n` are their places among the row's new tokens."""
        ...


class RoutedMemory:
    """Tokens routed to the expert: the new ones after the `past` ones in `cache`, which takes them up."""

    def __init__(self, layout: Layout, cache: ExpertCacheLayer | None, past: int) -> None:
        self.layout = layout
        self.cache = cache
        self.past = past

    def look(self, row: int, expert: int, place_n: Tensor, *kv: Tensor) -> Seen:
        """See `Memory`; `kv` are the keys and values of the new tokens, both (n, C, H)."""
        keys, values = kv
        cell = Cell(keys, values, place_n + self.past)
        if self.cache is not None:
            cell = self.cache.append(row, expert, cell)
        mask = self.layout.mask
        if mask is not None:
            mask = mask[row].index_select(0, place_n).index_select(1, cell.slots)
        causal = mask is None and not self.past
        return Seen(cell.keys.transpose(0, 1), cell.values.transpose(0, 1), mask, causal)


class FullMemory:
    """All tokens of the row: keys and values (B, N * C, L, H)."""

    def __init__(self, layout: Layout, keys: Tensor, values: Tensor, experts: int) -> None:
        self.layout = layout
        self.keys = keys.unflatten(1, (experts, -1))
        self.values = values.unflatten(1, (experts, -1))

    def look(self, row: int, expert: int, place_n: Tensor, *kv: Tensor) -> Seen:
        """See `Memory`; there is no `kv`."""
        mask = self.layout.mask
        if mask is not None:
            mask = mask[row].index_select(0, place_n)
        return Seen(self.keys[row, expert], self.values[row, expert], mask, causal=False)
