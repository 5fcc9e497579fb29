"""Folders in the forms of others."""

from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.results.export import FORMS, export

from ....reports import make_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "results").create()
    store.write(make_records.record("a", score=make_records.metric(0.5)), {"correct": [1, 0]})
    store.write(make_records.record("b", status="oom"))
    (store.records / "broken.json").write_text("{")
    return store.folder


def test_every_form_counts_what_could_not_be_read(folder: Path, tmp_path: Path) -> None:
    for form in FORMS:
        found = export([folder], form, tmp_path / form)
        assert found.path.exists() and found.left_out["files that were skipped"] == 1
    assert len(list((tmp_path / "every-eval-ever").rglob("*_samples.jsonl"))) == 1
    assert len(list((tmp_path / "hub").glob("*/.eval_results/*.yaml"))) == 1


@pytest.mark.parametrize(
    ("form", "dataset", "message"),
    [
        ("parket", None, "did you mean parquet"),
        ("parquet", "a/b", "goes with --to hub"),
        ("hub", "a", "must be OWNER/NAME"),
        ("hub", "a/b/c", "must be OWNER/NAME"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    form: str, dataset: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        export([tmp_path / "nowhere"], form, tmp_path / "out", dataset)
