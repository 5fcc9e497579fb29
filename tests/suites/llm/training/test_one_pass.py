"""Data that run dry before the budget are an error, before the training or, at the latest, in it."""

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.training.data import TextRows
from sparsebench.suites.llm.training.one_pass import OnePass, check_enough
from sparsebench.suites.llm.training.packing import Example, Row
from sparsebench.suites.training.callbacks import TrainingState


def data(count: int) -> TextRows:
    ids = tuple(range(8))
    members = [Row("law", (Example(f"window {number}", "law", ids, ids),)) for number in range(count)]
    return TextRows(members, [], 8, False, torch.device("cpu"))


def check(budget: Budget, rows: int = 10, accumulation: int = 1) -> None:
    check_enough(data(rows), Context(suite="llm", task="t", seed=0, budget=budget), accumulation)


def test_a_budget_that_the_data_hold() -> None:
    check(Budget(epochs=100))
    check(Budget(tokens=80))
    check(Budget(steps=5, batch_size=2))
    check(Budget(steps=2, batch_size=2), accumulation=2)


@pytest.mark.parametrize(
    ("budget", "accumulation", "words"),
    [
        (Budget(tokens=81), 1, "end after 80 tokens, before the 81 tokens of the budget"),
        (Budget(steps=6, batch_size=2), 1, "end after 5 steps, before the 6 steps"),
        (Budget(steps=3, batch_size=2), 2, "end after 2 steps, before the 3 steps"),
    ],
)
def test_a_budget_that_they_do_not(budget: Budget, accumulation: int, words: str) -> None:
    with pytest.raises(ValueError, match=f"{words}.*smaller budget, more text, or repeat: true"):
        check(budget, accumulation=accumulation)


def test_the_end_of_a_pass_within_the_training() -> None:
    state = TrainingState(models={}, optimizers={}, data=None, total=None, step=4, tokens=77)
    OnePass(Budget(epochs=3)).on_epoch(state)
    with pytest.raises(ValueError, match="end after 4 steps and 77 tokens, before the 100 tokens"):
        OnePass(Budget(tokens=100)).on_epoch(state)
