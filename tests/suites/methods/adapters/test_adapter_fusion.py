"""AdapterFusion: what its stages take together."""

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.methods.adapters.adapter_fusion import AdapterFusion
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.tasks.synthetic import Blobs


@pytest.mark.parametrize(("adapters", "steps"), [(3, 12), (2, 7)])
def test_all_stages_take_the_steps_of_the_budget(adapters: int, steps: int) -> None:
    """Each adapter took half of them: of three adapters twice the training of the row beside it."""
    context = Context(suite="vtab", task="synthetic", seed=0, budget=Budget(steps=steps, batch_size=8))
    outcome = Blobs().run([AdapterFusion(rank=2, adapters=adapters, learning_rate=0.01)], tiny.load, context)
    assert outcome.training is not None and outcome.training.steps == steps


def test_epochs_of_the_parts_are_epochs_of_the_whole() -> None:
    context = Context(suite="vtab", task="synthetic", seed=0, budget=Budget(epochs=4, batch_size=8))
    task = Blobs()
    whole = len(task.load().train.targets)
    outcome = task.run([AdapterFusion(rank=2)], tiny.load, context)
    assert outcome.training is not None and outcome.training.steps is not None
    assert outcome.training.steps * 8 == pytest.approx(4 * whole, rel=0.15), "but for batches that are not full"
