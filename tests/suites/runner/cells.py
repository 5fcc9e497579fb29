"""A cell for tests of what identifies cells."""

from sparsebench.reports.records.record import CellInfo

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
