"""The methods of a row: what a chain says of training goes to its last method that can train."""

import dataclasses
from typing import Any

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.chain import load_chain
from sparsebench.suites.runner.planning.rows import read_row

PRUNE = {"name": "neuron_pruning", "config": {"keep": 0.5}}


def loaded(**row: Any) -> list[dict[str, Any]]:
    return [dataclasses.asdict(method) for method in load_chain(read_row(row, "here"))]


def test_methods_in_their_order_with_their_configs() -> None:
    first, second = loaded(chain=[PRUNE, {"name": "cmoe", "config": {"train": "all"}}])
    assert first["keep"] == 0.5
    assert second["train"] == "all"


def test_the_last_method_that_can_train_does_what_the_row_says() -> None:
    (alone,) = loaded(name="cmoe", train="all")
    assert alone["train"] == "all"
    first, second = loaded(chain=["cmoe", "dense"], train="head")
    assert first["train"] == "head"
    assert "train" not in second


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "dense", "train": "all"}, "row 'dense, train all' says train: all, but no method"),
        ({"chain": [{"name": "cmoe", "config": {"train": "all"}}, "cmoe"], "train": "head"}, "cmoe has one of its own"),
        ({"name": "cmoe", "train": "heads"}, "method 'cmoe': train is 'heads'"),
        ({"chain": ["dense", "cmeo"]}, "did you mean cmoe"),
    ],
)
def test_what_cannot_be_is_explained(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        loaded(**row)
