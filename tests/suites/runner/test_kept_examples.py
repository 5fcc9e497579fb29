"""What a record keeps of each test example makes its score up, for every kind of task: comparisons pair by example."""

from pathlib import Path

import pytest

from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import execute

from .cells import planned_cells

KINDS = [
    ("llm", "synthetic", "dense", "tiny", "bits_per_byte"),
    ("llm", "synthetic_choices", "dense", "tiny", "accuracy"),
    ("llm", "synthetic_texts", "linear_probe", "tiny_encoder", "accuracy"),
    ("vtab", "synthetic", "linear_probe", "tiny", "accuracy"),
    ("molecules", "synthetic", "linear_probe", "ecfp4", "rmse"),
    ("molecules", "synthetic_generation", "dense", "tiny_generator", "exact"),
]
"""Suite, task, method, backbone and the main metric: the kinds of task whose score is a mean over examples."""


@pytest.mark.parametrize(("suite", "task", "method", "backbone", "main"), KINDS)
def test_the_kept_examples_give_the_score_back(
    suite: str, task: str, method: str, backbone: str, main: str, tmp_path: Path
) -> None:
    (cell,) = planned_cells(suite, method, task=task, backbone=backbone, test_examples=12)
    store = Store(tmp_path).create()
    ended = execute(cell, store.folder)
    assert ended.status == "ok", ended.reason
    record = store.read(ended.id)
    assert record.main_metric == main
    found = ExampleReader(store.read_examples).scores(record.id, main, record.metrics[main].value)
    assert found is not None
    assert found.total() == pytest.approx(record.metrics[main].value, rel=1e-4)
    assert len(found.values) == record.metrics[main].n
