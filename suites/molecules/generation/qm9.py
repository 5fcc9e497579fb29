"""QM9 for training GraphsGPT: 100,000 training molecules, 1,000 test molecules without a twin among them."""

import torch

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.qm9 import qm9

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
