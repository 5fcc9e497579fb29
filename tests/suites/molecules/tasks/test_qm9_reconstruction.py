"""The parts of QM9."""

import pytest
from rdkit import Chem

from sparsebench.suites.contracts.traits import TRAINING_DATA
from sparsebench.suites.molecules.tasks import qm9_reconstruction as qm9
from sparsebench.suites.molecules.tasks.qm9_reconstruction import QM9Reconstruction


def test_no_test_molecule_of_qm9_has_a_twin_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = ["C" * n + end for n in range(1, 30) for end in ("O", "N", "F")] + ["C[C@H](O)F", "C[C@@H](O)F"] * 5
    monkeypatch.setattr(qm9, "qm9", lambda: pieces)
    monkeypatch.setattr(qm9, "TRAIN", 60)
    qm9.qm9_parts.cache_clear()
    train, test = qm9.qm9_parts()
    qm9.qm9_parts.cache_clear()
    flat = [{Chem.CanonSmiles(text, useChiral=0) for text in part} for part in (train, test)]
    assert len(train) == 60 and test and not flat[0] & flat[1]
    assert TRAINING_DATA in QM9Reconstruction.gives
