"""Cells and records of no plan, whose values are made up; and cells as a small plan gives them."""

from typing import Any

from sparsebench.reports.records.record import CellInfo, Record
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of

INFO = CellInfo(
    suite="llm",
    suite_version="1",
    task="synthetic",
    task_version="1",
    group="",
    method="dense",
    label="dense",
    config={},
    backbone="tiny",
    seed=0,
    budget={},
    dtype="float32",
)


def cell(*sources: str, **fields: Any) -> Cell:
    made = {"info": INFO, "key": "k", "code": "c", "device": "cpu", "timeout": 9.0, "sources": sources}
    return Cell(**{**made, **fields})


def record(**fields: Any) -> Record:
    """Of a cell that failed, unless it is said otherwise."""
    made = {"id": "i", "key": "k", "code": "c", "cell": INFO, "status": "failed", "reason": "r"}
    return Record(**{**made, "started": "2026", "finished": "2026", **fields})


def planned_cells(
    suite: str, *methods: str, task: str = "synthetic", backbone: str = "tiny", seeds: int = 1, **budget: int
) -> list[Cell]:
    plan = SuitePlan(
        suite=suite,
        methods=tuple(Row(chain_of(method)) for method in methods),
        tasks=(TaskRow(task),),
        backbones=(backbone,),
        seeds=seeds,
        budget={"epochs": 1, **budget},
    )
    return list(cells_of(Profile("mine", (plan,))))
