"""Features of very different sizes, with values that are none."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.methods.baselines.constant import Constant
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.baselines.random_forest import RandomForestMethod
from sparsebench.suites.methods.shared.clean_features import CleanedBody, CleanFeatures
from sparsebench.suites.molecules.backbones import rdkit_descriptors
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.prediction.feature_extractor import FeatureExtractor

CONTEXT = Context(suite="molecules", task="synthetic", seed=0, budget=Budget(epochs=1, batch_size=32))


class Columns(FeatureExtractor):
    """Four features as they are."""

    width = 4
    unit = "row"

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def test_columns_are_standardised_clipped_or_dropped() -> None:
    body = CleanedBody(Columns(), bound=3.0)
    nan, inf = float("nan"), float("inf")
    seen = torch.tensor([[1e6, 7.1, nan, 0.0], [3e6, 7.1, 1.0, 0.5], [5e6, 7.1, 2.0, 1.0]])
    assert body.learn(seen) == 2
    spread = (8 / 3) ** 0.5
    expected = torch.tensor([-2 / spread, 0, 2 / spread])
    torch.testing.assert_close(body(seen)[:, 0], expected)
    assert body(seen)[:, 1:3].abs().sum() == 0
    other = body(torch.tensor([[1e12, 8.0, 5.0, nan], [-inf, nan, inf, -9.0]]))
    torch.testing.assert_close(other, torch.tensor([[3.0, 0, 0, 0], [0.0, 0, 0, -3]]))


class Few(Synthetic):
    """A quarter of the molecules: descriptors take some ten milliseconds each."""

    def table(self) -> MoleculeTable:
        whole = super().table()
        return replace(whole, smiles=whole.smiles[:60], targets=whole.targets[:60])


def test_descriptors_need_it_and_then_tell_more_than_nothing() -> None:
    """The target of the task, Crippen's logP, is one of them; a forest takes the cleaned columns, too."""
    chain = [CleanFeatures(), LinearProbe(penalties=(1e-2, 1.0), folds=3)]
    outcome = Few().run(chain, rdkit_descriptors.load, CONTEXT)
    columns = outcome.details["1. columns"]
    assert columns["all"] == rdkit_descriptors.DescriptorBody.width > columns["kept"] > 50
    trees = Few().run([CleanFeatures(), RandomForestMethod(trees=3)], rdkit_descriptors.load, CONTEXT)
    blind = Few().run([Constant()], rdkit_descriptors.load, CONTEXT)
    for one in (outcome, trees):
        assert one.metrics["rmse"].value < 0.5 * blind.metrics["rmse"].value
    assert outcome.costs is not None and outcome.costs.unit == "molecule"


def test_a_bound_and_a_body_without_a_column_are_refused() -> None:
    with pytest.raises(ValueError, match="bound must be above 0, not 0"):
        CleanFeatures(bound=0)

    class Ones(Columns):
        def encode(self, raw: Sequence[str]) -> list[Tensor]:
            return [torch.ones(4) for _ in raw]

    with pytest.raises(FloatingPointError, match="none of the 4 columns"):
        Synthetic().run([CleanFeatures(), LinearProbe()], lambda _: Ones(), CONTEXT)
