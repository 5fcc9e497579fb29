"""What there is to vouch for, and why the rest is not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.records.record import Metric, Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.verification import survey as surveying
from sparsebench.suites.runner.verification.survey import survey

METRICS = {"accuracy": Metric(value=0.5, higher_is_better=True, unit="share")}


def scored(planned: Cell, number: int, **fields: Any) -> Record:
    """A record of an earlier code."""
    about = {"status": "ok", "reason": None, "metrics": METRICS, "main_metric": "accuracy", "code": "old"}
    made = failure(planned, "failed", "why", started="1", seconds=3.0)
    environment = made.environment | {"threads": 1}
    return dataclasses.replace(made, id=f"{number:02}", environment=environment, **(about | fields))


def test_records_are_counted_by_path_or_by_reason(
    planned: list[Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path).create()
    one = planned[0]
    for number, cell in enumerate(planned):
        store.write(scored(cell, number), None)
    others = (
        {"status": "failed", "reason": "why", "metrics": {}, "main_metric": None},
        {"cell": dataclasses.replace(one.info, method="gone")},
        {"cell": dataclasses.replace(one.info, task_version="0")},
        {"cell": dataclasses.replace(one.info, seed=99)},
    )
    for number, fields in enumerate(others, start=10):
        store.write(scored(one, number, key=f"key {number}", **fields), None)
    found, candidates = survey(tmp_path, "c")
    assert [candidate.record.id for candidate in candidates] == [f"{number:02}" for number in range(len(planned))]
    assert {candidate.path for candidate in candidates} == {("old", cell.code) for cell in planned}
    assert found.records == len(planned) and found.commit == "c"
    assert sorted(found.paths) == list(found.paths) and len(found.paths) == len({cell.code for cell in planned})
    assert all(candidate.core_seconds == 3.0 for candidate in candidates), "one thread"
    reasons = [" ".join(reason.split()[:4]) for reason in sorted(found.excluded)]
    assert reasons == [
        "gone: unknown method 'gone';",
        "no score (failed)",
        "other data or weights",
        "version 1 of the",
    ]
    assert set(found.excluded.values()) == {1}
    monkeypatch.setattr(surveying, "missing_folder", lambda cell: "photographs is a folder of yours")
    none, _ = survey(tmp_path, "c")
    assert none.records == 0
    not_here = "no data: photographs is a folder of yours"
    assert none.excluded[not_here] == len(planned) + 2, "rather than that version or data are others"
