"""Groups of a task's training data by a stated rule, mixed while an image or molecule model trains."""

from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.traits import TASK_REASONS, VALIDATION_PART
from sparsebench.suites.llm.tasks.synthetic.synthetic_mixture import SyntheticMixture
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.shared.group_mixing import GroupMixing, by_class, by_value, data_sets
from sparsebench.suites.molecules.backbones import tiny_encoder
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.mini_suite import MiniTask
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ...reasons import reason

MOE = RandomSplit(num_experts=4, top_k=2, train="none")


def surroundings(suite: str) -> Context:
    return Context(suite=suite, task="t", seed=0, budget=Budget(steps=4, batch_size=8, calibration_examples=8))


@pytest.mark.parametrize(
    ("suite", "task", "load", "names"),
    [
        ("vtab", Blobs, tiny.load, ("classes 0 to 1", "classes 2 to 2", "classes 3 to 3")),
        ("molecules", Synthetic, tiny_encoder.load, tuple(f"values {n} of 3" for n in (1, 2, 3))),
    ],
)
def test_gate_loads_of_groups_move_the_weights(suite: str, task: Any, load: Any, names: tuple[str, ...]) -> None:
    outcome = task().run([MOE, GroupMixing(interval=2, learning_rate=0.01)], load, surroundings(suite))
    weights = [[value for _, value in outcome.curves[f"2. mixing weight {name}"]] for name in names]
    assert [sum(at) for at in zip(*weights, strict=True)] == pytest.approx([1, 1, 1])
    assert weights[0][0] == pytest.approx(1 / 3) != weights[0][2]
    assert outcome.training is not None and outcome.training.steps == 4


def test_every_example_is_in_one_group_by_the_rule() -> None:
    setup = Synthetic().setup(tiny_encoder.load, surroundings("molecules"))
    sets = data_sets(setup.data, setup.context, 3)
    assert sum(sets.sizes.values()) == len(setup.data.train)
    assert sum(len(rows) for rows in sets.held_out.values()) == len(setup.data.val)
    ends = [(min(float(y) for _, y in rows), max(float(y) for _, y in rows)) for rows in sets.train.values()]
    assert ends[0][1] < ends[1][0] and ends[1][1] < ends[2][0]
    assert max(sets.sizes.values()) - min(sets.sizes.values()) <= 1


def test_groups_by_hand() -> None:
    names, train, val = by_class(torch.tensor([0, 4, 2]), torch.tensor([3]), 5, 2)
    assert names == ["classes 0 to 2", "classes 3 to 4"] and train.tolist() == [0, 1, 0] and val.tolist() == [1]
    known = torch.tensor([[4.0], [1.0], [float("nan")], [2.0], [3.0]])
    names, train, val = by_value(known, torch.tensor([[9.0], [-9.0]]), 2)
    assert train[[0, 1, 3, 4]].tolist() == [1, 0, 0, 1] and val.tolist() == [1, 0] and len(names) == 2
    with pytest.raises(NotApplicable, match="2 classes make no 3 groups"):
        by_class(torch.tensor([0]), torch.tensor([0]), 2, 3)
    with pytest.raises(NotApplicable, match="too many equal values"):
        by_value(torch.ones(5, 1), torch.ones(2, 1), 3)


def test_where_it_does_not_apply() -> None:
    assert reason(Blobs, "vtab", "tiny", GroupMixing(strategy="uniform")) is None
    assert (
        reason(SyntheticMixture, "llm", "tiny_mixture", GroupMixing(strategy="uniform"))
        == "this task has no feature vectors"
    )
    assert str(reason(Synthetic, "molecules", "tiny_encoder", GroupMixing())).endswith("it has no experts")


@pytest.mark.parametrize("options", [{}, {"strategy": "uniform", "watch": True}])
def test_held_out_rows_are_none_that_train_in_the_end(options: dict[str, Any]) -> None:
    """It moved its weights by losses and loads of rows that it was trained on."""
    chosen = reason(MiniTask, "vtab", "tiny", MOE, GroupMixing(**options))
    assert str(chosen).endswith(TASK_REASONS[VALIDATION_PART])
    assert reason(Blobs, "vtab", "tiny", MOE, GroupMixing(**options)) is None
    assert reason(MiniTask, "vtab", "tiny", GroupMixing(strategy="uniform")) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": 1}, "groups=1"),
        ({"strategy": "reference_loss"}, "only data_mixing measures"),
        ({"train": "head"}, "nothing to mix"),
        ({"interval": 0}, "interval=0"),
    ],
)
def test_values_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GroupMixing(**options)
