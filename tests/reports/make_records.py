"""Synthetic records for the tests of reports, and for a look at the page: `python tests/reports/make_records.py OUT`."""

import dataclasses
import hashlib
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sparsebench.reports.record import CellInfo, Costs, DataInfo, Metric, Record, Status


def metric(value: float, **options: Any) -> Metric:
    return Metric(**{"value": value, "higher_is_better": True, "unit": "share", "stderr": 0.01, "n": 1000} | options)


def record(
    label: str = "a",
    task: str = "t",
    seed: int = 0,
    score: Metric | float | None = 0.5,
    status: Status = "ok",
    costs: Costs | None = None,
    reason: str | None = None,
    cell: dict[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """One record with every field filled; `cell` overrides fields of the cell."""
    info = CellInfo(
        **{
            "suite": "vtab",
            "suite_version": "1",
            "task": task,
            "task_version": "1",
            "group": "natural",
            "method": label.split()[0],
            "label": label,
            "config": {"rank": 8},
            "backbone": "vit-tiny",
            "seed": seed,
            "budget": {"epochs": 10},
            "dtype": "float32",
        }
        | (cell or {})
    )
    ok = status == "ok"
    key = hashlib.sha256(repr(dataclasses.astuple(info)).encode()).hexdigest()[:16]
    return Record(
        **{
            "id": f"{key}-c0de",
            "key": key,
            "code": "c0de",
            "cell": info,
            "status": status,
            "reason": None if ok else reason or "it broke",
            "metrics": {"accuracy": score if isinstance(score, Metric) else metric(score or 0.0)} if ok else {},
            "main_metric": "accuracy" if ok else None,
            "costs": costs if ok else None,
            "times": {"train": 3.0, "evaluate": 1.0},
            "environment": {"torch": "2.13", "cpu": "two cores", "commit": "0123abc", "dirty": False},
            "seeds": {"data": 11, "init": 12},
            "data": [DataInfo(source="digits", version="1.6", sha256="ab" * 32, licence="BSD-3-Clause")],
            "started": "2026-11-24T10:00:00+00:00",
            "finished": "2026-11-24T10:00:04+00:00",
        }
        | fields
    )


def grid(labels: int, tasks: int, seeds: int, suite: str = "vtab", noise: float = 0.02) -> list[Record]:
    """labels × tasks × seeds records whose true scores rise with the label's number."""
    generator = np.random.default_rng(0)
    groups = ("natural", "specialized", "structured")
    records = []
    for i, j, seed in itertools.product(range(labels), range(tasks), range(seeds)):
        value = float(np.clip(0.4 + 0.3 * i / labels + 0.01 * j + noise * generator.normal(), 0, 1))
        costs = Costs(
            params_total=6_000_000 + 1000 * i,
            params_trainable=1000 * i,
            params_active=6_000_000 - 100_000 * i,
            flops=1e8,
            bytes=24_000_000,
            peak_rss=500_000_000,
            latency_ms=3 + 0.2 * i,
            unit="image",
        )
        cell = {"suite": suite, "group": groups[j % 3]}
        curves = {"train/loss": [(float(step), 2.0 / (step + 1) + 0.1 * i) for step in range(20)]} if seed < 3 else {}
        score = metric(value, chance=0.1)
        records.append(record(f"method {i:02d}", f"task {j:02d}", seed, score, costs=costs, cell=cell, curves=curves))
    return records
