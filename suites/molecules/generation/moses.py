"""What the generation tasks on MOSES have in common: its training molecules, and pictures for the report."""

from collections.abc import Sequence

import torch

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.moses import moses
from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.molecules import Drawn, MoleculeSet

from .task import GenerationTask

SHOWN = 12
"""Molecules that the report shows of a set."""
VALIDATION = 10_000
"""Molecules of the training part that choices are made on: MOSES has no validation part."""


class MosesTask(GenerationTask):
    """Base of the tasks whose training molecules are those of MOSES."""

    def training_set(self) -> Sequence[str]:
        """All 1,584,663 of them."""
        return _training_set()


@cached_reads()
def _training_set() -> list[str]:
    return moses("train")


@cached_reads()
def test_set() -> list[str]:
    """All 176,074 of MOSES's test part in one fixed random order, since its file is not shuffled."""
    everything = moses("test")
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0))
    return [everything[row] for row in order.tolist()]


@cached_reads()
def _cut_training_set() -> tuple[list[str], list[str]]:
    everything = _training_set()
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0)).tolist()
    return [everything[row] for row in order[VALIDATION:]], [everything[row] for row in order[:VALIDATION]]


def training_part() -> list[str]:
    """The training molecules without the `validation_set`, in a fixed random order."""
    return _cut_training_set()[0]


def validation_set() -> list[str]:
    """10,000 random molecules of the training part, on which temperatures are chosen.

    The baseline `char_rnn` never saw them. GraphsGPT's pre-training kept nothing back, so that it may have seen some.
    """
    return _cut_training_set()[1]


def grid(title: str, molecules: Sequence[Generated]) -> MoleculeSet:
    """The first molecules that can be read, as a set to be drawn in the report."""
    readable = [one.smiles for one in molecules if one.smiles]
    if not readable:
        return MoleculeSet(title, "grid", (Drawn("", "none can be read"),))
    return MoleculeSet(title, "grid", tuple(map(Drawn, readable[:SHOWN])))
