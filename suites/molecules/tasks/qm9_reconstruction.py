"""QM9 (your folder): train GraphsGPT from scratch, then encode and rewrite molecules that it never saw."""

from collections.abc import Sequence
from typing import Any

import torch

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.qm9 import qm9

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.traits import TRAINING_DATA
from ..generation.reconstruction import reconstruct
from ..generation.task import GenerationTask

TRAIN = 100_000
TEST = 1_000


@cached_reads()
def qm9_parts() -> tuple[list[str], list[str]]:
    """Training and test strings, random but fixed; no test molecule equals a training molecule without stereo."""
    everything = qm9()
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0)).tolist()
    train = [everything[row] for row in order[:TRAIN]]
    known = {_flat(smiles) for smiles in train}
    test: list[str] = []
    for row in order[TRAIN:]:
        if len(test) == TEST:
            break
        if _flat(everything[row]) not in known:
            test.append(everything[row])
    return train, test


def _flat(smiles: str) -> str:
    """Canonical SMILES without stereo."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


class QM9Reconstruction(GenerationTask):
    """Fractions of 1,000 test molecules that come back exactly, after training on up to 100,000 others."""

    version = "1"
    metric_names = ("exact", "exact K=*")
    group = "reconstruction"
    sources = ("qm9",)
    gives = GenerationTask.gives | {TRAINING_DATA}

    def training_set(self) -> Sequence[str]:
        """Up to 100,000, without a twin in the test part."""
        train, _ = qm9_parts()
        return train

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Encode and decode the test molecules."""
        _, test = qm9_parts()
        return reconstruct(subject, test[: context.budget.test_examples])
