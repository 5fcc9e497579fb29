"""A suite of ours conforms; each rule finds one that breaks it. That a cell runs twice, `tests/test_docs.py` sees."""

import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sparsebench.suites.runner.conformance import suites as check
from sparsebench.suites.runner.conformance.methods import NonconformingError


def test_what_a_suite_says() -> None:
    assert "tasks, " in check.contract("molecules")
    assert "quick" in check.profiles("molecules").split(", ")
    profile, one = check.smoke_cell("molecules")
    assert one.sources == () and one.reason is None and len(profile.plans) == 1


@pytest.mark.parametrize(
    ("rule", "fields", "message"),
    [
        (check.contract, {"title": ""}, "title of SUITE says nothing"),
        (check.contract, {"libraries": ("no-such-library",)}, "not installed: no-such-library"),
        (check.profiles, {"baseline": "nobody"}, "no profile has the baseline nobody"),
        (check.profiles, {"baseline": "LoRA r=4"}, "quick lacks the baseline|no profile has the baseline LoRA r=4"),
    ],
)
def test_a_suite_that_says_something_wrong(
    rule: Any, fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = dataclasses.replace(check.suite("vtab"), **fields)
    monkeypatch.setattr(check, "suite", lambda name: about)
    with pytest.raises(NonconformingError, match=message):
        rule("vtab")


def test_a_suite_without_a_default_profile_or_with_a_source_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "built_in", lambda: {"mine": ("vtab",)})
    with pytest.raises(NonconformingError, match="no profile 'quick'"):
        check.profiles("vtab")
    monkeypatch.setattr(check, "catalogue", lambda: {})
    with pytest.raises(NonconformingError, match="names a source that there is not"):
        check.contract("vtab")


@pytest.mark.parametrize(
    ("again", "score", "message"),
    [(True, 1, "it ran again though its record is there"), (False, None, "two runs with one seed give other scores")],
)
def test_a_cell_that_is_not_kept_or_is_another_each_time(
    again: bool, score: int | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = itertools.count()

    def run(profile: Any, one: Any, folder: Path) -> object:
        file = folder / "records" / "a.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        if again or not file.is_file():
            file.write_text(json.dumps([next(count)]))
        return score or next(count)

    monkeypatch.setattr(check, "smoke_cell", lambda name: (None, SimpleNamespace(id="a", title="a")))
    monkeypatch.setattr(check, "_run", run)
    with pytest.raises(NonconformingError, match=message):
        check.cell("vtab")
