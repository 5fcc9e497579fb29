"""A task of ours conforms; each rule finds a task that breaks it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.suites.runner.conformance import tasks as check
from sparsebench.suites.runner.conformance.methods import NonconformingError
from sparsebench.suites.runner.discovery.registry import Named

SMOKE = Named("task", "synthetic", "vtab")


def test_conformance() -> None:
    assert check.contract(SMOKE) == "version 1, no sources"
    assert check.scores(SMOKE).startswith("linear_probe on tiny: accuracy ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": ""}, "it has no version"),
        ({"sources": ("digits", "nobodys")}, "a source that there is not: nobodys"),
    ],
)
def test_a_task_that_says_too_little(fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    about = SimpleNamespace(**{"version": "1", "sources": (), **fields})
    monkeypatch.setattr(check, "load_task", lambda entry: about)
    with pytest.raises(NonconformingError, match=message):
        check.contract(SMOKE)


def test_scores_that_break_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    case = check._case(SMOKE)
    good = case.run()
    worse = replace(next(iter(good.metrics.values())), value=0.0)
    other = {name: [*values[1:], values[0]] for name, values in good.examples.items()}
    for outcomes, message in (
        ((replace(good, main_metric="beauty"), good), "'beauty' is none of its metrics"),
        ((good, replace(good, metrics={**good.metrics, good.main_metric: worse})), "give other metrics"),
        ((good, replace(good, examples={**good.examples, "other": [0]})), "other outcomes by example"),
        ((replace(good, examples={**other, "short": [0]}), good), "not of one length"),
    ):
        runs = iter(outcomes)
        monkeypatch.setattr(check, "_case", lambda task, runs=runs: SimpleNamespace(run=lambda: next(runs)))
        with pytest.raises(NonconformingError, match=message):
            check.scores(SMOKE)


def test_a_task_whose_folder_is_not_there_or_that_nothing_goes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(task: Named) -> None:
        raise LocalFolderError("source 'mine' is a folder of yours")

    with monkeypatch.context() as patched:
        patched.setattr(check, "_case", missing)
        assert check.scores(SMOKE) == "not run: source 'mine' is a folder of yours"
    monkeypatch.setattr(check, "case_of", lambda *arguments: None)
    with pytest.raises(NonconformingError, match="no method goes with it"):
        check.scores(SMOKE)
