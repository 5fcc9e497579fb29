"""What one step of pre-training sees: a function of seed, step and process, so that training can stop and go on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.graphsgpt import TokenBatch, collate, length_batches

from ...contracts.seeds import derive_seed
from .corpus import Corpus

SHORTEST = 9
WITH_SCAFFOLD = 0.3
"""Share of the steps of requests that ask for scaffolds."""
FREE, KEEP = 0.25, 0.5
"""Share of the requests that ask for no property, and of each property that the others ask for."""
NO_TOKENS = np.zeros((4, 0), dtype=np.int16)
Kind = Literal["own", "properties", "scaffold"]


class Step(NamedTuple):
    """Molecules to be written, and the request for them: scaffolds and properties (B, P), None for the molecules
    themselves; `num_words` K' for this step, None for all."""

    batch: TokenBatch
    source: TokenBatch | None
    wanted: Tensor | None
    num_words: int | None


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Molecules are to be written from their own words, or, in `request_share` of the steps, from requests: for
    properties, or for a scaffold, with which the molecule then begins, and properties. All processes have the same kind
    of step and the same K'.

    In the first `grow` steps molecules to be written are cut: to the first 9 tokens at the start, to all at the end.
    Short beginnings teach how atoms are found by their number; without, the loss after 600 steps on MOSES is that of
    200 with it.
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
        kind, fewer = self._kind(draw), draw.random() < self.word_dropout
        words = int(draw.integers(1, self.num_words + 1)) if fewer else None
        rows = self._rows(kind, step * processes + rank)
        if kind == "own":
            return Step(self._beginning(self.corpus.molecules.batch(rows), step), None, None, words)
        wanted = self._wanted(rows, np.random.default_rng(derive_seed(self.seed, "request", step, rank)))
        if kind == "scaffold":
            source, batch = self.corpus.scaffolds.batch(rows), self.corpus.grown.batch(rows)
        else:
            source, batch = collate([NO_TOKENS] * len(rows)), self.corpus.molecules.batch(self.corpus.rows[rows])
        return Step(self._beginning(batch, step), source, wanted, words)

    def _kind(self, draw: np.random.Generator) -> Kind:
        place = draw.random() / self.request_share if self.request_share else 1.0
        return "own" if place >= 1 else "scaffold" if place < WITH_SCAFFOLD else "properties"

    def _beginning(self, batch: TokenBatch, step: int) -> TokenBatch:
        if step >= self.grow:
            return batch
        longest = int(self.corpus.molecules.lengths.max())
        return beginning(batch, SHORTEST + (longest - SHORTEST) * step // self.grow)

    def _rows(self, kind: Kind, index: int) -> np.ndarray:
        """Numbers of molecules, or of requests."""
        filled = int((_lengths(self, kind) > 0).sum())
        epoch, place = divmod(index, -(-filled // self.batch_size))
        return _epoch(self, kind, epoch)[place]

    def _wanted(self, rows: np.ndarray, draw: np.random.Generator) -> Tensor:
        """Properties (B, P) of which some are asked for."""
        values = self.corpus.values[rows].copy()
        free = draw.random((len(rows), 1)) < FREE
        values[free | (draw.random(values.shape) >= KEEP)] = np.nan
        return torch.from_numpy(values)


@lru_cache(maxsize=3)
def _lengths(batches: Batches, kind: Kind) -> np.ndarray:
    corpus = batches.corpus
    if kind == "scaffold":
        return corpus.grown.lengths
    lengths = corpus.molecules.lengths
    return lengths if kind == "own" else lengths[corpus.rows]


@lru_cache(maxsize=3)
def _epoch(batches: Batches, kind: Kind, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch; of each kind one is kept."""
    generator = torch.Generator().manual_seed(derive_seed(batches.seed, "order", kind, epoch))
    return length_batches(_lengths(batches, kind), batches.batch_size, generator)


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
