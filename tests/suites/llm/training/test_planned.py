"""Rows that are drawn ahead: as many as the budget says, each pass in a new order."""

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.training.packing import Example, Row
from sparsebench.suites.llm.training.planned import Batches, drawn_rows, joined, one_epoch
from sparsebench.suites.training.result import TrainResult


def rows(*sizes: int) -> list[Row]:
    found = []
    for number, size in enumerate(sizes):
        ids = tuple(range(100 * number, 100 * number + size))
        found.append(Row("law", (Example(f"row {number}", "law", ids, ids),)))
    return found


def drawn(budget: Budget, members: list[Row], seed: int = 0, **more: bool) -> list[Row]:
    return drawn_rows(members, budget, 2, torch.Generator().manual_seed(seed), **more)


def test_as_many_rows_as_the_budget_says() -> None:
    members = rows(5, 6, 7, 8, 9)
    assert sorted(map(len, drawn(Budget(epochs=2), members))) == [5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    assert len(drawn(Budget(steps=2), members)) == 4
    for tokens in (1, 20, 35):
        found = drawn(Budget(tokens=tokens), members)
        assert sum(map(len, found)) >= tokens > sum(map(len, found[:-1]))
        assert len({id(row) for row in found}) == len(found)
    again = drawn(Budget(tokens=70), members, repeat=True)
    assert sum(map(len, again)) == 70 and {id(row) for row in again[:5]} == {id(row) for row in members}


def test_the_order_is_that_of_the_seed_and_new_in_each_pass() -> None:
    members = rows(*[4] * 30)
    first = drawn(Budget(epochs=2), members)
    assert first == drawn(Budget(epochs=2), members) != drawn(Budget(epochs=2), members, seed=1)
    assert first[:30] != first[30:]


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(steps=3), "after 2 steps, before the 3 steps"),
        (Budget(tokens=36), "after 35 tokens, before the 36 tokens"),
    ],
)
def test_a_second_pass_has_to_be_asked_for(budget: Budget, words: str) -> None:
    with pytest.raises(ValueError, match=f"{words} of the budget: .*repeat: true"):
        drawn(budget, rows(5, 6, 7, 8, 9))


def test_batches_are_made_when_asked_for() -> None:
    made: list[int] = []

    def collate(members: list[Row]) -> list[int]:
        made.append(len(members))
        return [len(row) for row in members]

    batches = Batches(rows(5, 6, 7), 2, collate)  # type: ignore[arg-type]
    assert len(batches) == 2 and not made
    assert list(batches) == [[5, 6], [7]] and made == [2, 1]
    with pytest.raises(IndexError, match="batch 2 of 2"):
        batches[2]


def test_the_budget_of_drawn_batches_is_to_see_each_once() -> None:
    context = one_epoch(Context(suite="llm", task="t", seed=0, budget=Budget(tokens=7, batch_size=3)))
    assert context.budget == Budget(epochs=1, batch_size=3)


def test_stages_are_joined_into_one_result() -> None:
    def result(steps: int, tokens: int) -> TrainResult:
        curves = {"train loss": [(1.0, 0.5), (float(steps), 0.25)], "train loss by tokens": [(float(tokens), 0.25)]}
        return TrainResult(
            curves=curves,
            steps=steps,
            epochs=1,
            tokens=tokens,
            seconds=2.0,
            flops=10,
            peak_memory=steps,
            parameters={"model": 7},
        )

    both = joined([result(3, 100), result(2, 50)])
    assert both.curves["train loss"] == [(1.0, 0.5), (3.0, 0.25), (4.0, 0.5), (5.0, 0.25)]
    assert both.curves["train loss by tokens"] == [(100.0, 0.25), (150.0, 0.25)]
    assert (both.steps, both.tokens, both.seconds, both.flops, both.peak_memory, both.epochs) == (5, 150, 4.0, 20, 3, 2)
    assert both.parameters == {"model": 7}
