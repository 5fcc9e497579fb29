"""A penalty by cross-validation over both parts, and a head that has seen both; the rest is with the vision tests."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from torch import Tensor

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.traits import TASK_REASONS, VALIDATION_PART
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.molecules.tasks.own_molecules import OwnMolecules
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.prediction.data import PairedDataset, PredictionData, TargetScaler
from sparsebench.suites.prediction.feature_extractor import FeatureExtractor, LinearHeadModel

from ...reasons import reason

WIDTH = 30
PENALTIES = (0.01, 1.0, 100.0)


class Same(FeatureExtractor):
    """Features as they are."""

    width = WIDTH
    unit = "row"

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def test_penalty_and_head_are_those_of_both_parts() -> None:
    """By scikit-learn on the same folds; a validation part of noise alone would choose the largest penalty."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, WIDTH, generator=generator) * torch.linspace(1, 9, WIDTH)
    y = x[:, :1] + 0.3 * torch.randn(60, 1, generator=generator)
    y[50:] = 5 * torch.randn(10, 1, generator=generator)
    train, val, test = [PairedDataset(list(x[rows]), y[rows]) for rows in (slice(50), slice(50, 60), slice(0))]
    data = PredictionData(
        Same(), torch.device("cpu"), TargetScaler(torch.tensor(0.0), torch.tensor(1.0)), train, val, test
    )
    context = Context(
        suite="t", task="t", seed=0, budget=Budget(epochs=1, batch_size=16), target=Target("regression", 1)
    )
    model = LinearHeadModel(Same(), 1, generator)
    method = LinearProbe(penalties=PENALTIES, folds=4)
    curve = dict(method.fit(method.prepare(model, context), data, context)["cross-validated loss by penalty"])

    def predicted(penalty: float, fitted: np.ndarray, rows: np.ndarray) -> np.ndarray:
        known, labels = x[fitted].double(), y[fitted].double().numpy()
        mean, std = known.mean(0), known.std(0)
        ridge = Ridge(alpha=penalty * len(fitted)).fit(((known - mean) / std).numpy(), labels)
        return ridge.predict(((x[rows].double() - mean) / std).numpy())

    everything = np.arange(60)
    expected = {}
    for penalty in PENALTIES:
        squares = [
            ((predicted(penalty, fitted, held).reshape(-1, 1) - y[held].double().numpy()) ** 2)
            for fitted, held in KFold(4, shuffle=True, random_state=0).split(everything)
        ]
        expected[penalty] = np.concatenate(squares).mean()
    assert curve == pytest.approx(expected) and min(expected, key=expected.__getitem__) < max(PENALTIES)
    best = min(expected, key=expected.__getitem__)
    with torch.no_grad():
        assert model(x).flatten().numpy() == pytest.approx(predicted(best, everything, everything).ravel(), abs=1e-4)


def test_folds_want_a_validation_part_that_nothing_was_trained_on() -> None:
    assert reason(Synthetic, "molecules", "ecfp4", LinearProbe(folds=5)) is None
    assert reason(OwnMolecules, "molecules", "ecfp4", LinearProbe(folds=5)) == TASK_REASONS[VALIDATION_PART]
    assert reason(OwnMolecules, "molecules", "ecfp4", LinearProbe()) is None
    with pytest.raises(ValueError, match="folds must be 0 or 2 and more, not 1"):
        LinearProbe(folds=1)
