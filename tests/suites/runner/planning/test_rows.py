"""Rows of a profile: methods and chains of methods, and what is said of a wrong one."""

from typing import Any

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of, read_row, read_task

PRUNE = Link(method="prune", config={"keep": 0.5})
HEAL = Link(method="heal")


def test_a_method_is_a_chain_of_one() -> None:
    assert read_row("heal", "here") == Row((HEAL,), label="heal")
    named = read_row({"name": "prune", "config": {"keep": 0.5}, "backbones": ["tiny"]}, "here")
    assert named == Row((PRUNE,), label="prune(keep=0.5)", backbones=("tiny",))


def test_a_chain_keeps_the_order_of_its_links() -> None:
    row = read_row({"chain": [{"name": "prune", "config": {"keep": 0.5}}, "heal"], "train": "head"}, "here")
    assert row == Row((PRUNE, HEAL), label="prune(keep=0.5) + heal, train head", train="head")
    assert row.name == "prune+heal"
    assert read_row({"chain": ["heal", "prune"], "label": "mine"}, "here").label == "mine"


def test_a_row_says_what_it_is_there_for() -> None:
    assert read_row({"name": "heal", "role": "control"}, "here").role == "control"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"chain": ["prune"], "name": "heal"}, "a chain and a name or config of its own"),
        ({"chain": []}, "at least one method"),
        ({"chain": "prune"}, "at least one method"),
        ({"chain": [{"config": {}}]}, "chain: an entry without `name`"),
        ({"chain": [{"name": "prune", "label": "x"}]}, "chain: unknown key 'label'"),
        ({"chain": [{"name": {"a": 1}}]}, "name: must be a text"),
        ({"chain": ["prune"], "label": 5}, "label: must be a text, not 5"),
        (
            {"name": "heal", "label": "two\nlines"},
            r"label: must be one line without spaces around it, not 'two\\nlines'",
        ),
        ({"name": "heal", "label": " "}, "label: must be one line"),
        ({"name": "heal", "role": "contrl"}, "unknown role 'contrl'; did you mean control"),
        ({"label": "x"}, "an entry without `name`"),
        ({"nmae": "x"}, "did you mean"),
        (5, "must be a mapping"),
    ],
)
def test_a_wrong_row_is_explained(item: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"here.*{message}"):
        read_row(item, "here")


def test_a_chain_of_the_command_line() -> None:
    assert chain_of("prune") == (Link(method="prune"),)
    assert chain_of("prune + heal") == (Link(method="prune"), HEAL)
    with pytest.raises(UsageError, match=r"'prune\+' is no chain of methods: write `first\+second`"):
        chain_of("prune+")


def test_tasks() -> None:
    assert read_task("digits", "here") == TaskRow("digits")
    assert read_task({"name": "digits", "rows": ["a"], "seeds": 2}, "here") == TaskRow("digits", rows=("a",), seeds=2)
    with pytest.raises(UsageError, match="here: an entry without `name`"):
        read_task({"rows": ["a"]}, "here")
