"""Predicted, not measured: the least time of a product on an H100 and an A100, from its bytes and operations.

The roofline (Williams, Waterman and Patterson, 2009): operations over the peak rate, or bytes over the bandwidth,
whichever is longer. Launches, caches and half-filled processors are not in it, so that a real time is longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparsebench.models.moe.experts._tiles import TILE_O, TILE_S


@dataclass(frozen=True)
class Card:
    """Dense peak rates by type (operations a second) and bandwidth (bytes a second), of the maker's data sheet."""

    name: str
    rates: dict[str, float]
    bandwidth: float


CARDS = (
    Card("H100 SXM", {"bf16": 989e12, "fp32": 67e12}, 3.35e12),
    Card("A100 80 GB SXM", {"bf16": 312e12, "fp32": 19.5e12}, 2.04e12),
)
MOST_ROWS = 64
"""Rows of an expert up to which packed weights are read as they are."""
SIZES = {"bf16": 2, "fp32": 4}
"""Bytes of a number."""


@dataclass(frozen=True)
class Experts:
    """SwiGLU experts: T tokens of width D choose K of N experts with M hidden neurons."""

    tokens: int
    width: int
    hidden: int
    experts: int
    top_k: int

    @property
    def pairs(self) -> int:
        """S."""
        return self.tokens * self.top_k

    @property
    def chosen(self) -> int:
        """Experts that some token chose, where routes are even."""
        return min(self.experts, self.pairs)


SHAPES = tuple(
    Experts(tokens, *shape) for shape in ((2048, 1024, 64, 8), (4096, 688, 16, 4)) for tokens in (1, 64, 2048, 16384)
)
"""The widths of OLMoE-1B-7B and of LLaMA-MoE 3.5B (4 of 16)."""


def predicted() -> Iterator[dict[str, Any]]:
    """A row for each card, type and shape: both products of the experts together, forward."""
    for card in CARDS:
        for dtype in SIZES:
            for shape in SHAPES:
                yield {"card": card.name, "type": dtype, **shape.__dict__, **_row(card, dtype, shape)}


def _row(card: Card, dtype: str, shape: Experts) -> dict[str, Any]:
    operations, moved = work(shape, SIZES[dtype])
    row = {"GFLOP": operations / 1e9, "MB": moved / 1e6, "grouped_mm µs": _time(card, dtype, operations, moved)}
    row["ours µs"] = _time(card, dtype, operations * padding(shape), moved)
    if dtype == "bf16" and shape.pairs <= MOST_ROWS * shape.chosen:
        row["4 bits µs"] = _time(card, dtype, operations, packed_bytes(shape))
    return row


def _time(card: Card, dtype: str, operations: float, moved: float) -> float:
    return 1e6 * max(operations / card.rates[dtype], moved / card.bandwidth)


def work(shape: Experts, size: int) -> tuple[float, float]:
    """Operations and least bytes: rows in, between and out once, and each chosen expert's matrices once."""
    per_expert = 3 * shape.width * shape.hidden
    operations = 2.0 * shape.pairs * per_expert
    rows = shape.pairs * (2 * shape.width + 3 * shape.hidden)
    return operations, float(size * (shape.chosen * per_expert + rows))


def padding(shape: Experts) -> float:
    """How many times the operations our tiles do: their last rows and columns are half empty.

    Routes are taken to be even: each chosen expert has as many rows as another.
    """
    rows = shape.pairs / shape.chosen
    down = math.ceil(shape.width / TILE_O) * TILE_O * shape.hidden
    gate_up = math.ceil(2 * shape.hidden / TILE_O) * TILE_O * shape.width
    return math.ceil(rows / TILE_S) * TILE_S / rows * (down + gate_up) / (3 * shape.width * shape.hidden)


def packed_bytes(shape: Experts, bits: int = 4, group: int = 64) -> float:
    """Least bytes with packed weights of bfloat16 scales, one for each group of columns."""
    matrices = shape.chosen * 3 * shape.width * shape.hidden * (bits / 8 + 2 / group)
    return matrices + 2 * shape.pairs * (2 * shape.width + 3 * shape.hidden)
