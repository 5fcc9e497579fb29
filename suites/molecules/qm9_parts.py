"""QM9 for training GraphsGPT: 100,000 training molecules, 1,000 test molecules without a twin among them."""

import functools
from collections.abc import Iterable
from itertools import islice

import torch

from sparsebench.data.molecules.qm9 import qm9

TRAIN, TEST = 100_000, 1_000


@functools.cache
def parts() -> tuple[list[str], list[str]]:
    """Training and test strings, random but fixed; no test molecule equals a training molecule without stereo."""
    everything = qm9()
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0)).tolist()
    train = [everything[row] for row in order[:TRAIN]]
    return train, list(islice(_new((everything[row] for row in order[TRAIN:]), train), TEST))


def _new(candidates: Iterable[str], known: Iterable[str]) -> Iterable[str]:
    seen = set(map(_flat, known))
    return (text for text in candidates if _flat(text) not in seen)


def _flat(smiles: str) -> str:
    """Canonical SMILES without stereo."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
