"""What the generation tasks on MOSES have in common: its training molecules, and drawings for the report."""

import functools
from collections.abc import Sequence

import torch

from sparsebench.data.molecules.moses import moses
from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.molecules import Drawn, MoleculeSet

from .generation_task import GenerationTask

DRAWN = 12
"""Molecules that the report draws of a set."""


class MosesTask(GenerationTask):
    """Training molecules are random ones of MOSES's training part (its file is not shuffled)."""

    def training_molecules(self, count: int, generator: torch.Generator) -> list[str]:
        """`count` different ones."""
        everything = training_set()
        rows = torch.randperm(len(everything), generator=generator)[:count].tolist()
        return [everything[row] for row in rows]


@functools.cache
def training_set() -> list[str]:
    """All 1,584,663 of them."""
    return moses("train")


@functools.cache
def test_set() -> list[str]:
    """All 176,074 of MOSES's test part in one fixed random order, since its file is not shuffled."""
    everything = moses("test")
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0)).tolist()
    return [everything[row] for row in order]


def grid(title: str, molecules: Sequence[Generated]) -> MoleculeSet:
    """The first molecules that can be read, as a set to be drawn in the report."""
    found = [Drawn(made.smiles) for made in molecules if made.smiles][:DRAWN]
    return MoleculeSet(title, "grid", tuple(found) or (Drawn("", "none can be read"),))
