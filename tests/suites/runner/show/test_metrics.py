"""Every metric is explained, and what is said of it is what the committed records hold."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Metric
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, find, suites
from sparsebench.suites.runner.show.metrics import METRICS, explain

RESULTS = Path(__file__).parents[4] / "reports" / "results"


@pytest.mark.parametrize("suite", suites())
def test_every_metric_of_every_task_is_explained(suite: str) -> None:
    for name, entry in entries("task", suite).items():
        task = load_task(entry)
        assert task.metric_names, f"{name}: say `metric_names`"
        for metric in task.metric_names:
            info = explain(metric)
            assert info is not None, f"{name}: {metric} is not in suites/runner/show/metrics.py"
            assert info.text.endswith(".")


@pytest.fixture(scope="module")
def measured() -> dict[tuple[str, str], dict[str, Metric]]:
    """The metrics of the committed records, by suite and task."""
    found: dict[tuple[str, str], dict[str, Metric]] = {}
    for folder in sorted(RESULTS.iterdir()):
        for record in Store(folder).open().read_all()[0]:
            found.setdefault((record.cell.suite, record.cell.task), {}).update(record.metrics)
    assert len(found) > 15
    return found


def test_records_hold_the_metrics_that_their_task_names(measured: dict[tuple[str, str], dict[str, Metric]]) -> None:
    for (suite, name), metrics in measured.items():
        named = load_task(find("task", name, suite)).metric_names
        for metric in metrics:
            assert any(fnmatchcase(metric, pattern) for pattern in named), f"{name}: {metric}"


def test_units_and_directions_are_those_of_records(measured: dict[tuple[str, str], dict[str, Metric]]) -> None:
    seen = set()
    for (_, task), metrics in measured.items():
        for name, metric in metrics.items():
            info = explain(name)
            assert info is not None
            seen.add(info.text)
            assert info.higher_is_better == metric.higher_is_better, f"{task}: {name}"
            if "unit of the target" not in info.text:
                assert info.unit == metric.unit, f"{task}: {name}"
            assert metric.chance is None or info.chance, f"{task}: {name}"
    assert len(seen) > 25


def test_names_and_patterns_of_validation_and_of_nobody() -> None:
    assert explain("val accuracy") == METRICS["accuracy"]
    assert explain("exact K=4") == METRICS["exact K=*"]
    assert explain("a metric of a plug-in") is None
