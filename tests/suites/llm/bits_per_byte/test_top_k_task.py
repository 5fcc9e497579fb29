"""Run-time k as a task: the own score is the plain task's, each k has one, and the model comes out as it was."""

import pytest
import torch

from sparsebench.models.moe.routing.top_k import set_top_k, top_k_by_layer
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny_mixture
from sparsebench.suites.llm.bits_per_byte.top_k_task import BY_LAYER, MAIN, measured
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.llm.tasks.synthetic.synthetic_top_k import SyntheticTopK
from sparsebench.suites.methods.baselines.dense import Dense

BUDGET = Budget(epochs=1, batch_size=1, test_examples=1, calibration_examples=1)


def test_each_k_is_the_plain_task_of_a_model_that_has_it() -> None:
    context = Context(suite="llm", task="synthetic_top_k", seed=0, budget=BUDGET)
    outcome = SyntheticTopK().run([Dense()], tiny_mixture.load, context)
    assert set(outcome.metrics) == {MAIN, BY_LAYER, *(f"{MAIN} k={k}" for k in (1, 2, 3, 4))}
    assert outcome.metrics[MAIN].value == outcome.metrics[f"{MAIN} k=2"].value
    assert outcome.metrics[f"{MAIN} k=1"].value != outcome.metrics[MAIN].value
    found = outcome.details["experts per token"]
    assert found["own"] == [2, 2] and sum(found["by layer"]) == 4
    assert found["calibration loss"] <= found["calibration loss of own"]
    plain = SyntheticText()
    setup = plain.setup(tiny_mixture.load, context)
    set_top_k(setup.model, 3)
    scores = plain.evaluate(plain.subject(setup.model, setup), setup.context)
    assert scores.metrics[MAIN].value == pytest.approx(outcome.metrics[f"{MAIN} k=3"].value)
    assert top_k_by_layer(setup.model) == [3, 3]
    assert torch.is_grad_enabled()


def test_which_k_are_measured() -> None:
    assert measured(4, [2, 2]) == [1, 2, 3, 4]
    assert measured(60, [6]) == [1, 2, 4, 6, 8, 16, 32, 60]
