"""What the scripts of Unified MoE Compression (arXiv 2406.02500) write into a `config.json`, block by block.

the number of experts   becomes a list: -1 for a block without FFN and its norm, null for a dense one
layer_experts_idx       which ones of the model before, null for such blocks
gate_num_experts        rows of the router, where those of dropped experts were kept: they come last, lead nowhere
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from .checkpoint import Checkpoint
from .decoders import ATTENTION, NORMS

REMOVED = -1


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """Which blocks a trimmed mixture has.

    Attributes:
        counts: experts of each block; None for a dense FFN, `REMOVED` where there is none.
        rows: of the router of each block that has one.
        keeps_rows: whether routers have rows of dropped experts.
    """

    counts: list[int | None]
    rows: dict[int, int]
    keeps_rows: bool

    @property
    def removed(self) -> list[int]:
        """Blocks without FFN."""
        return [index for index, count in enumerate(self.counts) if count == REMOVED]

    def inside(self, biases: Collection[str] = ()) -> list[tuple[str, ...]]:
        """For `outside`: what each block has besides its FFN, these biases too."""
        return [(*NORMS[: 1 if count == REMOVED else 2], *ATTENTION, *biases) for count in self.counts]

    def parts(self, *, says_all: bool) -> dict[str, Any]:
        """What `hub.parts` needs to know of removed FFNs and of experts.

        Args:
            says_all: whether something else says how many experts each block has, so that tables alone are left.
        """
        parts: dict[str, Any] = {}
        if self.removed:
            parts["removed"] = {"mlp": self.removed, "attention": []}
        uneven = len({self.counts[index] for index in self.rows}) > 1
        if self.keeps_rows or (uneven and not says_all):
            blocks = {}
            for index, rows in self.rows.items():
                blocks[str(index)] = [self.counts[index], rows if self.keeps_rows else 0, 0]
            parts["compression"] = {"blocks": blocks}
        return parts

    def placed(self, stem: str, index: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a block's experts under their names, behind a table where the router has more rows.

        Args:
            stem: of the names.
            index: of the block.
            tensors: within the experts.
        """
        found: dict[str, Tensor] = {}
        count = self.counts[index]
        assert count is not None
        if self.keeps_rows:
            # One entry more than rows: an index behind the last one stands for no expert.
            found[f"{stem}.table"] = torch.tensor([*range(count), *[-1] * (self.rows[index] - count + 1)])
            stem = f"{stem}.base_layer"
        return found | {f"{stem}.{name}": value for name, value in tensors.items()}


def trimmed(checkpoint: Checkpoint, key: str, mixtures: Collection[int]) -> Trimmed:
    """What is left of a mixture.

    Args:
        checkpoint: that is read.
        key: what its configuration calls the number of experts.
        mixtures: the blocks that had experts before any was dropped.

    Returns:
        The blocks.

    Raises:
        ModelError: the configuration contradicts itself, or says what cannot be said here.
    """
    number = checkpoint.required("num_hidden_layers")
    counts = checkpoint.required(key)
    if not isinstance(counts, list):
        counts = [counts if index in mixtures else None for index in range(number)]
    stayed = checkpoint.config.get("layer_experts_idx")
    listed = counts
    if stayed is not None:
        pairs = enumerate(stayed)
        listed = [(REMOVED if index in mixtures else None) if kept is None else len(kept) for index, kept in pairs]
    dense = [index for index, count in enumerate(counts) if count is None]
    if len(counts) != number or listed != counts or dense != sorted(set(range(number)) - set(mixtures)):
        raise ModelError(
            f"{checkpoint.place} says {key}={counts} and layer_experts_idx of {listed} experts for its {number} "
            f"blocks, of which {sorted(mixtures)} have experts: these do not fit each other"
        )
    _check(checkpoint, key, counts)
    there = [index for index in mixtures if counts[index] != REMOVED]
    rows = _rows(checkpoint, counts, there)
    return Trimmed(counts=counts, rows=rows, keeps_rows="gate_num_experts" in checkpoint.config)


def _check(checkpoint: Checkpoint, key: str, counts: Sequence[Any]) -> None:
    if 0 in counts:
        raise ModelError(
            f"block {counts.index(0)} of {checkpoint.place} has no expert: the official code then adds the norm of its "
            "input to the input, which cannot be said here"
        )
    known = [count for count in counts if count is not None]
    if not all(isinstance(count, int) and count >= REMOVED for count in known) or max(known, default=0) < 1:
        raise ModelError(f"{checkpoint.place} says {key}={counts}: -1 for no mixture, or how many experts")


def _rows(checkpoint: Checkpoint, counts: Sequence[Any], there: Sequence[int]) -> dict[int, int]:
    """Rows of the router of each block that has one."""
    given = checkpoint.config.get("gate_num_experts", counts)
    if not isinstance(given, list):
        given = [given] * len(counts)
    if len(given) == len(counts):
        rows = {index: given[index] for index in there}
        if given == counts or len(set(rows.values())) == 1:
            return rows
    raise ModelError(
        f"{checkpoint.place} says gate_num_experts={given}: routers that keep the rows of dropped experts have as many "
        "in every block"
    )
