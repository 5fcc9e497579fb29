"""Methods on molecule tasks from end to end: learning, determinism, missing labels, units."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.baselines.random_forest import RandomForestMethod
from sparsebench.suites.molecules.backbones import ecfp4, gin, tiny
from sparsebench.suites.molecules.tasks.freesolv import FreeSolv
from sparsebench.suites.molecules.tasks.synthetic import Synthetic

from ..reasons import reason

MakeContext = Callable[..., Context]


class Labels(Synthetic):
    """Two labels from the target of `Synthetic`, every third one missing."""

    target = Target("multilabel", 2)

    def table(self) -> MoleculeTable:
        table = super().table()
        values = table.targets[:, 0]
        labels = np.stack([values > np.median(values), values > 0], axis=1).astype(float)
        labels.flat[::3] = np.nan
        return replace(table, targets=labels, units=("", ""))


def test_gin_learns_the_synthetic_target(make_context: MakeContext):
    outcome = Synthetic().run([FullTuning(learning_rate=3e-3)], gin.load, make_context(epochs=10))
    splits = Synthetic().load()
    blind = np.sqrt(np.mean((splits.test.targets - splits.train.targets.mean()) ** 2))
    assert outcome.metrics["rmse"].value < 0.7 * blind


def test_a_forest_on_missing_labels_beats_chance(make_context: MakeContext):
    outcome = Labels().run([RandomForestMethod()], ecfp4.load, make_context())
    assert outcome.metrics["roc_auc"].value > 0.6


def test_full_tuning_trains_everything_and_not_a_fingerprint(make_context: MakeContext):
    outcome = Synthetic().run([FullTuning()], tiny.load, make_context())
    assert outcome.costs is not None and outcome.costs.unit == "molecule"
    assert outcome.costs.params_trainable == outcome.costs.params_total > 5000
    assert reason(Synthetic, "molecules", "ecfp4", FullTuning()) is not None
    assert reason(Synthetic, "molecules", "gin:300x5", FullTuning()) is None


@pytest.mark.data
def test_rmse_has_the_unit_of_the_table(make_context: MakeContext):
    outcome = FreeSolv().run([LinearProbe()], tiny.load, make_context())
    assert {metric.unit for metric in outcome.metrics.values()} == {"kcal/mol"}
