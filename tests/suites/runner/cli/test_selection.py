"""What options choose of a profile."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from sparsebench.suites.runner.cli.selection import default_out, only, selected
from sparsebench.suites.runner.errors import UsageError


def context(suite: str | None):
    return SimpleNamespace(obj=suite)


def test_a_suite_is_said_once() -> None:
    assert only(context(None), None) == []
    assert only(context(None), ["llm", "vtab"]) == ["llm", "vtab"]
    assert only(context("llm"), None) == ["llm"]
    with pytest.raises(UsageError, match="say it twice"):
        only(context("llm"), ["vtab"])


def test_rows_tasks_and_backbones_are_of_one_suite() -> None:
    (plan,) = selected("smoke", ["molecules"], method=["full_tuning"], seeds=1).plans
    assert [row.label for row in plan.methods] == ["full_tuning"]
    assert plan.seeds == 1
    with pytest.raises(UsageError, match="need one suite"):
        selected("smoke", [], method=["full_tuning"])


def test_the_folder_of_a_profile() -> None:
    assert default_out("some/where/mine.yaml") == Path("results/mine")
