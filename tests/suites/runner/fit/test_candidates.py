"""Rows from records: whole ones with their validation outcomes, and why others are left out."""

from typing import Any

from sparsebench.reports.records.record import Costs, Record
from sparsebench.suites.runner.fit.candidates import candidates_of, matrix_of, suite_info

from ....reports.make_records import metric, record


def scored(label: str, seed: int, value: float, planned: int, flops: float = 10.0, **fields: Any) -> Record:
    costs = Costs(flops=flops, params_total=7, unit="image")
    found = record(label, seed=seed, score=metric(0.5), costs=costs, **fields)
    found.metrics["val accuracy"] = metric(value, n=4, stderr=0.25)
    found.details["validation"] = {"correct": [1] * round(4 * value) + [0] * round(4 - 4 * value)}
    found.seeds.update(planned=planned, stochastic=int(planned > 1))
    return found


def test_whole_rows_are_candidates() -> None:
    records = [
        scored("linear_probe", 0, 0.5, 1),
        scored("guess", 0, 0.25, 1, flops=0.0),
        scored("tuned", 0, 0.5, 2),
        scored("tuned", 1, 1.0, 2),
        scored("lost", 0, 0.5, 2),
        record("failed", status="failed", reason="out of luck"),
    ]
    found, left_out = candidates_of(matrix_of(records, {"guess": "control"}, "vtab"), suite_info("vtab"))
    assert [(one.label, one.role, one.price) for one in found] == [
        ("linear_probe", "baseline", 10.0),
        ("guess", "control", 7.0),
        ("tuned", "method", 10.0),
    ]
    assert found[2].mean == 0.75 and found[2].validation.stochastic
    scores = found[2].validation.scores[1].read
    assert scores is not None and scores() is not None and scores().total() == 1.0  # type: ignore[union-attr]
    assert left_out == {"lost · vit-tiny": "1 of 2 seeds have a record", "failed · vit-tiny": "failed: out of luck"}
