"""Two result folders that differ in every way that `compare FOLDER OTHER` tells apart."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsebench.reports.records.record import Metric, Record
from sparsebench.reports.records.store import Store

from .. import cells

RIGHT = [1.0] * 60 + [0.0] * 40
"""Outcomes of a hundred examples."""


def record(label: str, value: float | None, seed: int = 0, **fields: Any) -> Record:
    """Of a row with this accuracy, or of one that failed."""
    cell = replace(cells.INFO, task="digits", method=label, label=label, seed=seed)
    name = f"{label}-{seed}"
    made: dict[str, Any] = {"id": name, "key": name, "cell": cell, "reason": "KeyError: 'x'"}
    if value is not None:
        score = Metric(value=value, n=100, higher_is_better=True, unit="share")
        made |= {"status": "ok", "reason": None, "metrics": {"accuracy": score}, "main_metric": "accuracy"}
    return cells.record(**{**made, **fields})


def write(folder: Path, records: Sequence[Record], examples: Mapping[str, Sequence[float]]) -> Path:
    store = Store(folder).create()
    for one in records:
        outcomes = examples.get(one.id)
        store.write(one, None if outcomes is None else {"accuracy": list(outcomes)})
    return folder


def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """One row of each outcome, which is its label."""
    budget = replace(record("other", 0.9).cell, budget={"epochs": 2})
    first = [
        record("exact", 0.6),
        record("printed", 0.6),
        record("within", 0.6),
        record("beyond", 0.6),
        record("alone", 0.6),
        record("status", 0.6),
        record("no score", None, id="no-score"),
        record("other", 0.9),
        *(record("mine", 0.5, seed) for seed in range(2)),
    ]
    second = [
        record("exact", 0.6),
        record("printed", 0.6 + 1e-9),
        record("within", 0.61),
        record("beyond", 0.4),
        record("alone", 0.61),
        record("status", None),
        record("no score", None, id="no-score"),
        record("other", 0.8, key="another", id="another", cell=budget),
        record("yours", 0.5),
    ]
    one_more = [1.0] * 61 + [0.0] * 39
    twenty_fewer = [1.0] * 40 + [0.0] * 60
    then = {name: RIGHT for name in ("exact-0", "printed-0", "within-0", "beyond-0")}
    now = {**then, "within-0": one_more, "beyond-0": twenty_fewer}
    return write(tmp_path / "first", first, then), write(tmp_path / "second", second, now)
