"""What one step of pre-training sees: a function of seed, step and process, so that training can stop and go on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.graphsgpt import TokenBatch, collate, length_batches
from sparsebench.models.graphsgpt.results import NOTHING

from ...contracts.seeds import derive_seed
from .corpus import Corpus

# Shapes: B molecules, L tokens, P properties.

SHORTEST = 9
"""Tokens that molecules begin with at the first step, where they grow."""
WITH_SCAFFOLD = 0.3
"""Fraction of the conditional steps whose condition is a scaffold."""
NO_PROPERTY = 0.25
"""Fraction of the conditions that ask for no property."""
EACH_PROPERTY = 0.5
"""How often each property is asked for in the other conditions."""
Kind = Literal["own", "properties", "scaffold", "nothing", "more"]


class Step(NamedTuple):
    """Molecules to be written, and the condition for them: scaffolds (`source`) and properties (`wanted`, (B, P)), None
    for the molecules themselves; `num_words` K' for this step, None for all."""

    batch: TokenBatch
    source: TokenBatch | None
    wanted: Tensor | None
    num_words: int | None


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Molecules are to be written from their own words, or, in `condition_fraction` of the steps, from a condition:
    properties, or a scaffold, with which the molecule then begins, and properties; in `free_fraction` of the steps from
    a condition that asks for nothing, of all molecules. All processes have the same kind of step and the same K'.

    In `more_fraction` of the steps with own words these are of molecules of other kinds, `more`: words then hold those,
    too, while what is drawn by a condition or by none stays as in `corpus`.

    In the first `grow` steps molecules to be written are cut: to the first 9 tokens at the start, to all at the end.
    Short beginnings teach how atoms are found by their number; without, the loss after 600 steps on MOSES is that of
    200 with it.
    """

    corpus: Corpus
    batch_size: int
    condition_fraction: float
    num_words: int
    word_dropout: float
    seed: int
    grow: int = 0
    free_fraction: float = 0.0
    more: Corpus | None = None
    more_fraction: float = 0.5

    def step(self, step: int, rank: int = 0, processes: int = 1) -> Step:
        """What process `rank` sees at `step`; every epoch takes each molecule once, in batches of similar length."""
        # All processes draw the kind and K' from the same seed; only the rows and what is asked for differ.
        rng = np.random.default_rng(derive_seed(self.seed, "kind", step))
        kind = self._kind(rng)
        num_words = self._num_words(rng)
        if kind == "own" and self.more is not None and rng.random() < self.more_fraction:
            kind = "more"
        rows = self._rows(kind, step * processes + rank)
        if kind in ("own", "more"):
            batch = self._own(kind).molecules.batch(rows)
            return Step(self._beginning(batch, step), None, None, num_words)
        if kind == "nothing":
            unwanted = torch.full((len(rows), self.corpus.values.shape[1]), torch.nan)
            batch = self.corpus.molecules.batch(rows)
            return Step(self._beginning(batch, step), collate([NOTHING] * len(rows)), unwanted, num_words)
        wanted = self._wanted(rows, np.random.default_rng(derive_seed(self.seed, "request", step, rank)))
        if kind == "scaffold":
            source = self.corpus.scaffolds.batch(rows)
            batch = self.corpus.grown.batch(rows)
        else:
            source = collate([NOTHING] * len(rows))
            batch = self.corpus.molecules.batch(self.corpus.rows[rows])
        return Step(self._beginning(batch, step), source, wanted, num_words)

    def _kind(self, rng: np.random.Generator) -> Kind:
        if not self.condition_fraction + self.free_fraction:
            return "own"
        place = rng.random()
        if place < self.condition_fraction:
            # Uniform from 0 to 1 among these steps.
            return "scaffold" if place / self.condition_fraction < WITH_SCAFFOLD else "properties"
        return "nothing" if place < self.condition_fraction + self.free_fraction else "own"

    def _own(self, kind: Kind) -> Corpus:
        """Whose molecules are written from their own words."""
        if kind != "more":
            return self.corpus
        assert self.more is not None
        return self.more

    def _num_words(self, rng: np.random.Generator) -> int | None:
        if rng.random() >= self.word_dropout:
            return None
        return int(rng.integers(1, self.num_words + 1))

    def _beginning(self, batch: TokenBatch, step: int) -> TokenBatch:
        if step >= self.grow:
            return batch
        longest = int(self.corpus.molecules.lengths.max())
        return beginning(batch, SHORTEST + (longest - SHORTEST) * step // self.grow)

    def _rows(self, kind: Kind, index: int) -> np.ndarray:
        """Numbers of molecules, or of conditions."""
        filled = int((_lengths(self, kind) > 0).sum())
        epoch, place = divmod(index, -(-filled // self.batch_size))
        return _epoch(self, kind, epoch)[place]

    def _wanted(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Properties of which some are asked for; NaN for the others."""
        values_BP = self.corpus.values[rows].copy()
        none_B1 = rng.random((len(rows), 1)) < NO_PROPERTY
        dropped_BP = rng.random(values_BP.shape) >= EACH_PROPERTY
        values_BP[none_B1 | dropped_BP] = np.nan
        return torch.from_numpy(values_BP)


@lru_cache(maxsize=len(get_args(Kind)))
def _lengths(batches: Batches, kind: Kind) -> np.ndarray:
    corpus = batches._own(kind)
    if kind == "scaffold":
        return corpus.grown.lengths
    if kind in ("own", "nothing", "more"):
        return corpus.molecules.lengths
    return corpus.molecules.lengths[corpus.rows]


@lru_cache(maxsize=len(get_args(Kind)))
def _epoch(batches: Batches, kind: Kind, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch; of each kind one is kept."""
    generator = torch.Generator().manual_seed(derive_seed(batches.seed, "order", kind, epoch))
    return length_batches(_lengths(batches, kind), batches.batch_size, generator)


def beginning(batch: TokenBatch, tokens: int) -> TokenBatch:
    """The first `tokens` tokens of each molecule, and the atom after them if its edge is the last of them."""
    width = tokens + 1
    column_L = torch.arange(batch.mask.shape[1])
    kept_BL = (column_L < tokens) | ((column_L == tokens) & batch.is_node)
    mask_BL = (batch.mask & kept_BL)[:, :width]
    return TokenBatch(
        tokens=batch.tokens[:, :width] * mask_BL,
        positions=batch.positions[:, :width] * mask_BL.unsqueeze(2),
        is_node=batch.is_node[:, :width] & mask_BL,
        mask=mask_BL,
        lengths=mask_BL.sum(1),
        block=batch.block[:, :width] * mask_BL,
    )
