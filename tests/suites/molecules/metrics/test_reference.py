"""Statistics of a set of one's own: compared with itself it has the best values that there are."""

from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem

from sparsebench.reports.records.record import Metric
from sparsebench.suites.molecules.metrics import moses as metrics
from sparsebench.suites.molecules.metrics.moses import moses_metrics
from sparsebench.suites.molecules.metrics.reference import reference_statistics


class Lengths:
    """In the place of ChemNet: two numbers of each string."""

    def activations(self, smiles: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), float(text.count("C"))] for text in smiles])


def test_a_set_beside_itself(molecules: list[Chem.Mol], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_filter_files", lambda: ())
    monkeypatch.setattr(metrics, "read_patterns", lambda: None)
    monkeypatch.setattr(metrics, "filters", lambda *_: Metric(value=1.0, higher_is_better=True, unit="share"))
    smiles = [Chem.MolToSmiles(molecule) for molecule in molecules[:60]]
    network: Any = Lengths()
    statistics = reference_statistics(["nonsense", *smiles], network)
    found = moses_metrics(smiles, training=set(smiles), statistics=statistics, chemnet=network)
    best = {"FCD/Test": 0, "SNN/Test": 1, "Frag/Test": 1, "Scaf/Test": 1, "logP": 0, "QED": 0, "Novelty": 0}
    for name, value in best.items():
        assert found[name].value == pytest.approx(value, abs=1e-6), name
    other = moses_metrics(smiles[:20], training=(), statistics=statistics, chemnet=network)
    assert other["FCD/Test"].value > 0.01 and other["logP"].value > 0.01
    assert np.isfinite(statistics["FCD"]["sigma"]).all()


def test_a_covariance_needs_two_molecules() -> None:
    network: Any = Lengths()
    with pytest.raises(ValueError, match="two valid molecules; there are 1"):
        reference_statistics(["CCO", "nonsense"], network)
