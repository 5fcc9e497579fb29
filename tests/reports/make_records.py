"""Synthetic records for the tests of reports; for a look at the page: `python tests/reports/make_records.py OUT`."""

import dataclasses
import hashlib
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparsebench.reports.figures.plots import Aim
from sparsebench.reports.panels import molecules
from sparsebench.reports.panels.molecules import Drawn, MoleculeSet
from sparsebench.reports.panels.property_control import Control
from sparsebench.reports.panels.property_control import to_details as control_details
from sparsebench.reports.records.record import CellInfo, Costs, DataInfo, Metric, Record, Status


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


def side(label: str, values: Sequence[float], task: str = "t", costs: Costs | None = None, **cell: Any) -> list[Record]:
    """A record of each seed, with these scores; `cell` overrides fields of the cell."""
    return [record(label, task, seed, metric(value), costs=costs, cell=cell) for seed, value in enumerate(values)]


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
            params_active=6_000_000 - 5_000_000 * i // labels,
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


def realistic() -> list[Record]:
    """A small made-up result of three suites with every kind of cell: for looking at the page."""
    return [*_vision(), *_language(), *_molecules(), *_generation()]


def _vision() -> list[Record]:
    generator = np.random.default_rng(1)
    methods = {"linear probe": 0.0, "LoRA r=8": 0.041, "adapter h=16": 0.036, "adapter h=64, SNIP 25 %": 0.04}
    tasks = {
        "fashion_mnist": (0.78, 0.1),
        "digits": (0.9, 0.1),
        "dsprites_loc": (0.3, 0.0625),
        "dsprites_ori": (0.06, 0.0625),
    }
    records = []
    for (i, (label, gain)), (task, (level, chance)), seed in itertools.product(
        enumerate(methods.items()), tasks.items(), range(3)
    ):
        group = "structured" if task.startswith("dsprites") else "natural"
        value = float(np.clip(level + gain * (1 if task != "dsprites_ori" else 0) + 0.006 * generator.normal(), 0, 1))
        trained = (2_570, 300_000, 310_000, 311_000)[i]
        costs = Costs(
            params_total=4_652_008 + trained,
            params_trainable=trained,
            params_active=4_652_008 + trained // (4 if i == 3 else 1),
            bytes=18_600_000 + 4 * trained,
            latency_ms=3.1 + 0.1 * i,
            unit="image",
        )
        curve = [(float(s), float(1.9 * np.exp(-s / (40 + 20 * i)) + 0.3 - gain)) for s in range(0, 200, 10)]
        fields: dict[str, Any] = {"cell": {"group": group, "backbone": "lite0"}, "curves": {"train/loss": curve}}
        if task == "digits" and i == 2:
            fields["warnings"] = ["validation accuracy fell in the last epoch"]
        score = metric(value, chance=chance, n=2000)
        records.append(record(label, task, seed, score, costs=costs, **fields))
    cell = {"group": "natural", "backbone": "lite0"}
    for seed in range(3):
        for task in tasks:
            records.append(
                record("prefix r=8", task, seed, status="n/a", reason="a convolutional net has no attention", cell=cell)
            )
    trace = 'Traceback (most recent call last):\n  File "method.py", line 3, in prepare\nRuntimeError: <mask> is empty'
    records.append(
        record("sparse <b>", "digits", status="failed", reason="RuntimeError: mask", traceback=trace, cell=cell)
    )
    records.append(record("sparse <b>", "fashion_mnist", status="oom", reason="over 4 GB", cell=cell))
    records.append(record("sparse <b>", "dsprites_loc", status="timeout", reason="over 600 s", cell=cell))
    return records


def _language() -> list[Record]:
    generator = np.random.default_rng(2)
    methods = {
        "dense": (1.0, 1),
        "MoE random 8 of 8 · 75 %": (0.75, 3),
        "MoE shared 8 · 75 %": (0.75, 3),
        "MoE random 8 · 50 %": (0.5, 3),
        "MoE shared 8 · 50 %": (0.5, 3),
    }
    tasks = {"hellaswag": 0.42, "piqa": 0.67, "arc_easy": 0.58, "bpb wiki": 0.95, "bpb code": 0.8, "bpb news": 1.1}
    records = []
    for (label, (active, seeds)), (task, level) in itertools.product(methods.items(), tasks.items()):
        loss = (1 - active) * (0.3 if "shared" in label else 0.8)
        for seed in range(seeds):
            noise = 0.01 * generator.normal() * (seeds > 1)
            if task.startswith("bpb"):
                score = metric(level * (1 + loss) + noise, higher_is_better=False, unit="bits/byte", stderr=0.01)
                name = "bits_per_byte"
            else:
                chance = {"hellaswag": 0.25, "piqa": 0.5, "arc_easy": 0.25}[task]
                score, name = metric(chance + (level - chance) * (1 - loss) + noise, chance=chance, stderr=0.022), "acc"
            costs = Costs(
                params_total=134_515_008,
                params_trainable=0,
                params_active=int(134_515_008 * (0.4 + 0.6 * active)),
                bytes=269_000_000,
                latency_ms=12 * (0.5 + 0.5 * active),
                unit="token",
            )
            cell = {"suite": "llm", "backbone": "SmolLM2-135M", "group": "loss" if name != "acc" else "choice"}
            records.append(record(label, task, seed, costs=costs, cell=cell, metrics={name: score}, main_metric=name))
    return records


def _molecules() -> list[Record]:
    generator = np.random.default_rng(3)
    methods = {"ECFP4 + ridge": (2.4, 0.86), "ECFP4 + random forest": (2.2, 0.88), "GIN": (2.1, 0.87)}
    records = []
    for (label, (rmse, auc)), seed in itertools.product(methods.items(), range(3)):
        backbone = "gin-small" if label == "GIN" else "ecfp4"
        costs = Costs(params_total=500_000, params_active=500_000, bytes=2_000_000, latency_ms=0.05, unit="molecule")
        for task, value, name, up in (("freesolv", rmse, "rmse", False), ("b3db", auc, "roc_auc", True)):
            score = metric(
                value + 0.05 * generator.normal() * (1 if name == "rmse" else 0.1),
                higher_is_better=up,
                unit="share" if up else "",
                chance=0.5 if up else None,
            )
            cell = {"suite": "molecules", "backbone": backbone, "group": "physics" if not up else "physiology"}
            records.append(record(label, task, seed, costs=costs, cell=cell, metrics={name: score}, main_metric=name))
    return records


SMILES = (
    *("CC(=O)Oc1ccccc1C(=O)O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CC(=O)Nc1ccc(O)cc1"),
    *("O=C(c1ccccc1)N1CCN(Cc2ccsc2)CC1", "Cc1ccc(S(=O)(=O)NCC2CCCO2)cc1", "COc1ccc(NC(=O)c2ccco2)cc1Cl", "C1CC1"),
    *("FC(F)(F)c1ccc(Br)cc1", "C[C@H](N)C(=O)O", "O=[N+]([O-])c1ccc(I)cc1", "CCOP(=O)(OCC)SCC", "C(C", "c1ccc<b>"),
)


def molecule_sets(grid_size: int = 24) -> list[MoleculeSet]:
    """A grid with some that cannot be read, and a path from one molecule to another."""
    grid = [Drawn(SMILES[i % len(SMILES)], f"logP {0.3 * i:.1f}" if i % 3 else "") for i in range(grid_size)]
    path = [Drawn("C" * (i + 1) + "c1ccccc1" + "O" * (i // 4), f"t = {i / 10:.1f}") for i in range(11)]
    return [MoleculeSet("generated, the first", "grid", tuple(grid)), MoleculeSet("from toluene", "path", tuple(path))]


def controls(slope: float = 0.9) -> dict[str, Control]:
    """Property control that is right in the middle and too weak at the ends."""
    targets = (1.0, 2.0, 3.0, 4.0, 5.0)
    logp = [Aim(t, 3 + slope * (t - 3), 2.6 + slope * (t - 3), 3.3 + slope * (t - 3)) for t in targets]
    qed = [Aim(t / 6, 0.5 + slope * (t / 6 - 0.5), 0.3 + slope * (t / 6 - 0.5), 0.6 + slope * t / 20) for t in targets]
    return {"logP": Control("", tuple(logp)), "QED": Control("", tuple(qed))}


def _generation() -> list[Record]:
    records = []
    for (i, label), seed in itertools.product(enumerate(("GraphsGPT K=1", "GraphsGPT K=4")), range(2)):
        cell = {"suite": "molecules", "backbone": "graphsgpt-small", "group": "generation"}
        scores = {
            "valid": metric(1.0 - 0.01 * i),
            "Novelty": metric(0.9 - 0.02 * seed),
            "FCD/Test": metric(1.2 - 0.4 * i + 0.1 * seed, higher_is_better=False, unit=""),
            "SNN/Test": metric(0.5 + 0.02 * i, unit=""),
        }
        common: dict[str, Any] = {"seed": seed, "cell": cell, "metrics": scores}
        details = molecules.to_details(molecule_sets())
        records.append(record(label, "moses_generation", main_metric="valid", details=details, **common))
        details = control_details(controls(0.5 + 0.3 * i))
        records.append(record(label, "property_control", main_metric="Novelty", details=details, **common))
    return records


if __name__ == "__main__":
    from sparsebench.reports.page.reading import Reading
    from sparsebench.reports.page.render import render
    from sparsebench.reports.records.store import Problem
    from sparsebench.reports.tables.suite_table import SuiteInfo

    infos = {
        "vtab": SuiteInfo(title="Vision", description="Small image tasks.", baseline="linear probe", unit="image"),
        "llm": SuiteInfo(title="Language", description="Dense to MoE.", baseline="dense", unit="token"),
        "molecules": SuiteInfo(
            title="Chemistry", description="Scaffold splits.", baseline="ECFP4 + ridge", unit="molecule"
        ),
    }
    broken = [Problem(Path("results/quick/records/12ab.json"), "truncated: 300 bytes, the end is missing")]
    speed = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    render(Reading(records=realistic(), problems=broken, speed=speed), Path(sys.argv[1]), infos)
