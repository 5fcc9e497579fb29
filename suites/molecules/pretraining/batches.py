"""What one step of pre-training sees: a function of seed, step and process, so that training can stop and go on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.graphsgpt import TokenBatch, length_batches

from ...context import derive_seed
from .corpus import Corpus

SHORTEST = 9
FREE, KEEP = 0.25, 0.5
"""Share of the requests that ask for nothing, and of the scaffolds and of each property that the others ask for."""


class Step(NamedTuple):
    """Molecules to be written, and the request for them: scaffolds and properties (B, P), None for the molecules
    themselves; `num_words` K' for this step, None for all."""

    batch: TokenBatch
    source: TokenBatch | None
    wanted: Tensor | None
    num_words: int | None


@dataclass(frozen=True, kw_only=True)
class Batches:
    """`request_share` of the steps are requests. All processes have the same kind of step and the same K'.

    In the first `grow` steps molecules to be written from their own words are cut: to the first 9 tokens at the start,
    to all at the end. Short beginnings teach how atoms are found by their number; without, the loss after 600 steps on
    MOSES is that of 200 with it.
    """

    corpus: Corpus
    batch_size: int
    request_share: float
    num_words: int
    word_dropout: float
    seed: int
    grow: int = 0

    def step(self, step: int, rank: int = 0, processes: int = 1) -> Step:
        """What process `rank` sees at `step`; every epoch takes each molecule once, in batches of similar length."""
        draw = np.random.default_rng(derive_seed(self.seed, "kind", step))
        is_request, fewer = draw.random() < self.request_share, draw.random() < self.word_dropout
        words = int(draw.integers(1, self.num_words + 1)) if fewer else None
        rows = self._rows(is_request, step * processes + rank)
        if not is_request:
            return Step(self._beginning(self.corpus.molecules.batch(rows), step), None, None, words)
        own = np.random.default_rng(derive_seed(self.seed, "request", step, rank))
        source, wanted = self._request(rows, own)
        return Step(self.corpus.molecules.batch(self.corpus.rows[rows]), source, wanted, words)

    def _beginning(self, batch: TokenBatch, step: int) -> TokenBatch:
        if step >= self.grow:
            return batch
        longest = int(self.corpus.molecules.lengths.max())
        return beginning(batch, SHORTEST + (longest - SHORTEST) * step // self.grow)

    def _rows(self, request: bool, index: int) -> np.ndarray:
        """Numbers of molecules, or of requests."""
        filled = int((_lengths(self, request) > 0).sum())
        epoch, place = divmod(index, -(-filled // self.batch_size))
        return _epoch(self, request, epoch)[place]

    def _request(self, rows: np.ndarray, draw: np.random.Generator) -> tuple[TokenBatch, Tensor]:
        free = draw.random(len(rows)) < FREE
        bare = free | (draw.random(len(rows)) >= KEEP)
        values = self.corpus.values[rows].copy()
        values[free[:, None] | (draw.random(values.shape) >= KEEP)] = np.nan
        return without_tokens(self.corpus.scaffolds.batch(rows), torch.from_numpy(bare)), torch.from_numpy(values)


@lru_cache(maxsize=2)
def _lengths(batches: Batches, request: bool) -> np.ndarray:
    lengths = batches.corpus.molecules.lengths
    return lengths[batches.corpus.rows] if request else lengths


@lru_cache(maxsize=2)
def _epoch(batches: Batches, request: bool, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch; of requests and of the others one each is kept."""
    lengths = _lengths(batches, request)
    generator = torch.Generator().manual_seed(derive_seed(batches.seed, "order", request, epoch))
    return length_batches(lengths, batches.batch_size, generator)


def without_tokens(batch: TokenBatch, rows: Tensor) -> TokenBatch:
    """The batch with the molecules `rows` (B,) bool emptied."""
    keep = ~rows.unsqueeze(1)
    return TokenBatch(
        tokens=batch.tokens * keep,
        positions=batch.positions * keep.unsqueeze(2),
        is_node=batch.is_node & keep,
        mask=batch.mask & keep,
        lengths=batch.lengths * ~rows,
        block=batch.block * keep,
    )


def beginning(batch: TokenBatch, tokens: int) -> TokenBatch:
    """The first `tokens` tokens of each molecule, and the atom after them if its edge is the last of them."""
    column = torch.arange(batch.mask.shape[1])
    there = (column < tokens) | ((column == tokens) & batch.is_node)
    keep = (batch.mask & there)[:, : tokens + 1]
    width = tokens + 1
    return TokenBatch(
        tokens=batch.tokens[:, :width] * keep,
        positions=batch.positions[:, :width] * keep.unsqueeze(2),
        is_node=batch.is_node[:, :width] & keep,
        mask=keep,
        lengths=keep.sum(1),
        block=batch.block[:, :width] * keep,
    )
