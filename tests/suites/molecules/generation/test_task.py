"""Tasks that write molecules: ways to draw, what a cell gives, and the packaged model on real molecules."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from sparsebench.reports.panels import molecules, property_control
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Task
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.molecules.backbones import char_rnn, gin, graphsgpt, graphsgpt_random, tiny_generator
from sparsebench.suites.molecules.char_rnn_small import CORE_SECONDS
from sparsebench.suites.molecules.methods.few_shot import FewShot
from sparsebench.suites.molecules.methods.graph_words import GraphWords
from sparsebench.suites.molecules.methods.sampling import Sampling
from sparsebench.suites.molecules.methods.training_set import TrainingSet
from sparsebench.suites.molecules.tasks.moses_generation import MosesGeneration
from sparsebench.suites.molecules.tasks.moses_reconstruction import MosesReconstruction
from sparsebench.suites.molecules.tasks.property_control import PropertyControl
from sparsebench.suites.molecules.tasks.scaffold_generation import ScaffoldGeneration
from sparsebench.suites.molecules.tasks.synthetic_generation import SyntheticGeneration

from ...reasons import reason


def context(task: str, seed: int = 0, **budget: int) -> Context:
    given = {"epochs": 1, "batch_size": 16, "test_examples": 12, "calibration_examples": 16} | budget
    return Context(suite="molecules", task=task, seed=seed, budget=Budget(**given))


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(outcome: Any) -> Mapping[str, float]:
    return {name: metric.value for name, metric in outcome.metrics.items()}


def test_training_moves_a_generator_and_shows_a_curve() -> None:
    task = SyntheticGeneration()
    outcome = task.run([GraphWords(words=2)], tiny_generator.load, context("synthetic_generation", epochs=2))
    curve = outcome.curves["train loss"]
    assert curve[-1][1] < curve[0][1] and outcome.main_metric == "exact"
    assert {"exact K=1", "exact K=2", "valid"} <= set(outcome.metrics) and "exact K=4" not in outcome.metrics
    assert outcome.costs is not None and outcome.costs.unit == "molecule" and outcome.costs.flops


def test_only_generators_write_molecules() -> None:
    wanted = "the backbone is a graph network: it writes no molecules"
    assert reason(SyntheticGeneration, "molecules", "gin") == wanted
    assert reason(SyntheticGeneration, "molecules", "graphsgpt", FewShot()) is None
    assert reason(PropertyControl, "molecules", "graphsgpt", FewShot())
    assert reason(MosesGeneration, "molecules", "char_rnn") is None
    strings = "the backbone is a molecule generator: it gives no graph words of molecules"
    for task in (PropertyControl, ScaffoldGeneration, MosesReconstruction, SyntheticGeneration):
        assert reason(task, "molecules", "char_rnn") == strings
    for method in (FewShot(), Sampling(), TrainingSet()):
        assert reason(MosesGeneration, "molecules", "char_rnn", method) == strings
    with pytest.raises(NotApplicable, match=wanted):
        SyntheticGeneration().setup(gin.load, context("synthetic_generation"))
    with pytest.raises(ValueError, match="wants width x layers"):
        graphsgpt_random.load(draws(), "100x3")
    assert graphsgpt_random.load(draws(), "64x1").config.num_words == 8


@pytest.mark.data
def test_molecules_of_the_packaged_model_are_like_those_of_moses() -> None:
    task = MosesGeneration()
    drawn = values(task.run([Dense()], graphsgpt.load, context("moses_generation", test_examples=60)))
    copies = values(task.run([TrainingSet()], graphsgpt.load, context("moses_generation", test_examples=60)))
    wrecked = values(task.run([RandomSplit()], graphsgpt.load, context("moses_generation", test_examples=60)))
    assert drawn["valid"] == copies["valid"] == 1.0 and copies["Novelty"] < 0.05 < drawn["Novelty"]
    assert copies["FCD/Test"] < drawn["FCD/Test"] < wrecked["FCD/Test"]
    assert {"SNN/Test", "Frag/Test", "Scaf/Test", "IntDiv", "Filters"} <= set(drawn)
    assert drawn["repaired"] == 0 and drawn["draws per kept"] > 1 and copies["draws per kept"] == 1
    assert drawn["copies"] < 0.1 and copies["copies"] > 0.95
    assert drawn["core seconds"] == 5112 and "core seconds" not in copies, "real molecules cost no training"


@pytest.mark.data
def test_the_baseline_of_strings_stands_in_the_same_table() -> None:
    outcome = MosesGeneration().run([Dense()], char_rnn.load, context("moses_generation", test_examples=60))
    found = values(outcome)
    assert outcome.main_metric == "FCD/Test" and found["valid"] == 1.0 and found["copies"] < 0.2
    assert 1 < found["draws per kept"] < 2 and found["core seconds"] == CORE_SECONDS
    assert outcome.costs is not None and outcome.costs.unit == "molecule" and outcome.costs.flops


@pytest.mark.data
def test_a_row_with_too_few_molecules_has_no_distance() -> None:
    method = Sampling(constrained=False, redraws=0)
    outcome = MosesGeneration().run([method], graphsgpt.load, context("moses_generation", test_examples=60))
    assert outcome.main_metric == "valid" and values(outcome)["valid"] < 1
    assert {"Novelty", "copies", "SNN/Test"} <= set(outcome.metrics)
    assert not set(outcome.metrics) & {"FCD/Test", "Frag/Test", "Scaf/Test", "logP", "weight"}


@pytest.mark.data
def test_noise_trades_validity_for_novelty() -> None:
    task, found = MosesGeneration(), []
    for noise in (0.1, 2.0):
        method = FewShot(noise=noise, constrained=False)
        outcome = task.run([method], graphsgpt.load, context("moses_generation", test_examples=60))
        found.append(values(outcome))
        assert len(outcome.details[molecules.PANEL.key][0]["items"]) >= 1
    assert found[0]["valid"] > found[1]["valid"] and found[0]["Novelty"] < found[1]["Novelty"]


@pytest.mark.data
def test_the_packaged_model_gives_molecules_back_and_heeds_requests() -> None:
    budget = {"test_examples": 40}
    outcome = MosesReconstruction().run([Dense()], graphsgpt.load, context("moses_reconstruction", **budget))
    found = values(outcome)
    assert found["exact"] >= 0.6 and outcome.details[molecules.PANEL.key][0]["kind"] == "path"
    steered = [
        _run(PropertyControl(), Sampling(use_condition=heed), "property_control", test_examples=8)
        for heed in (True, False)
    ]
    assert steered[0][0]["spearman"] > steered[1][0]["spearman"] + 0.1
    assert set(steered[0][1][property_control.PANEL.key]) == {"logp", "qed", "sa", "mw"}


@pytest.mark.data
def test_molecules_of_the_packaged_model_start_as_the_scaffold() -> None:
    kinds = (Sampling(), Sampling(scaffold_prefix=False), Sampling(use_condition=False))
    kept, steered, ignored = (_run(ScaffoldGeneration(), kind, "scaffolds", test_examples=4)[0] for kind in kinds)
    assert kept["steers"] == steered["steers"] > 0.4, "the same draws: how molecules start changes nothing"
    assert kept["exact scaffold"] > max(0.2, steered["exact scaffold"])
    assert ignored["steers"] < 0.1 and ignored["exact scaffold"] == 0


def _run(task: Task, method: Any, name: str, **budget: int) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    outcome = task.run([method], graphsgpt.load, context(name, **budget))
    return values(outcome), outcome.details
