"""Data sets of rows: what each needs, how many held-out rows an update reads, and a budget in steps."""

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.mixing.rows import DataSets, grouped, in_steps

SETS = DataSets({"code": "aaaaaa", "law": "bbbb"}, {"code": "ccccc", "law": "dd"}, "".join)


def test_held_out_batches_are_the_first_rows_of_each_set() -> None:
    assert SETS.held_out_batches(4, 2, rows=3) == {"code": ["cc", "c"], "law": ["dd"]}
    assert SETS.names == ("code", "law") and SETS.sizes == {"code": 6, "law": 4}


def test_by_default_an_update_costs_as_much_of_a_step_as_in_the_paper() -> None:
    """There 4 sets of 80 rows for 128 in a step: forward passes of 2.5 steps, less than 1 % of 100 steps."""
    four = DataSets(dict.fromkeys("abcd", "x"), dict.fromkeys("abcd", "y" * 100), len)
    assert [sum(sizes) for sizes in four.held_out_batches(128, 16).values()] == [80] * 4
    two = DataSets(dict.fromkeys("ab", "x"), dict.fromkeys("ab", "y" * 100), len)
    assert [sum(sizes) for sizes in two.held_out_batches(8, 4).values()] == [10] * 2
    assert [sum(sizes) for sizes in four.held_out_batches(1, 4).values()] == [1] * 4


@pytest.mark.parametrize(
    ("train", "held_out", "words"),
    [
        ({"code": "a", "law": ""}, {"code": "c", "law": "d"}, "'law' has no row to train on"),
        ({"code": "a", "law": "b"}, {"code": "c", "law": ""}, "'law' has no held-out row"),
        ({"code": "a", "law": "b"}, {"code": "c"}, "'law' has no held-out row"),
    ],
)
def test_a_data_set_without_rows_is_an_error(train: dict[str, str], held_out: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataSets(train, held_out, "".join)


def test_rows_by_group() -> None:
    assert grouped(["a1", "b1", "a2", "c1"], lambda row: row[0], ("b", "a")) == {"b": ["b1"], "a": ["a1", "a2"]}


def test_a_budget_in_epochs_is_one_in_steps() -> None:
    def steps(per_step: int, **budget: int) -> Budget:
        return in_steps(Context(suite="s", task="t", seed=0, budget=Budget(**budget)), SETS, per_step).budget

    assert steps(4, epochs=3) == Budget(steps=6)
    assert steps(64, epochs=3) == Budget(steps=3)
    assert steps(4, tokens=50) == Budget(tokens=50) and steps(4, steps=7) == Budget(steps=7)
