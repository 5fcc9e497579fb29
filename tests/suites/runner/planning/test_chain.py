"""The links of a row: what trains after the last transform."""

from typing import Any

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.chain import links_of
from sparsebench.suites.runner.planning.rows import read_row

PRUNE = {"name": "neuron_pruning", "config": {"keep": 0.5}}


def links(**row: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(link.method, link.config) for link in links_of(read_row(row, "here"))]


def test_methods_in_their_order_with_their_configs() -> None:
    row = read_row({"chain": [PRUNE, {"name": "cmoe", "config": {"train": "all"}}]}, "here")
    assert links_of(row) == [
        Link(method="neuron_pruning", config={"keep": 0.5}),
        Link(method="cmoe", config={"train": "all"}),
    ]


def test_the_last_method_trains_what_the_row_says_and_those_before_nothing() -> None:
    assert links(name="cmoe", train="all") == [("cmoe", {"train": "all"})]
    assert links(chain=["moe_random", "cmoe"], train="head") == [
        ("moe_random", {"train": "none"}),
        ("cmoe", {"train": "head"}),
    ]


def test_after_a_method_without_the_option_one_more_link_trains() -> None:
    assert links(chain=["cmoe", "dense"], train="head") == [
        ("cmoe", {"train": "none"}),
        ("dense", {}),
        ("tune", {"train": "head"}),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chain": [{"name": "cmoe", "config": {"train": "all"}}, "cmoe"], "train": "head"}, "cmoe has one of its own"),
        ({"chain": ["dense", "cmeo"], "train": "head"}, "did you mean cmoe"),
    ],
)
def test_what_cannot_be_is_explained(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        links(**row)
