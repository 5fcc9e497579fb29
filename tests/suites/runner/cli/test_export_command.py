"""`export-results`."""

from pathlib import Path

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.cli.export_command import Form
from sparsebench.suites.runner.results.export import FORMS

from ....reports import make_records
from .conftest import Call


def test_it_writes_says_what_is_left_out_and_refuses_to_write_over(sparsebench: Call, tmp_path: Path) -> None:
    Store(tmp_path / "mine").create().write(make_records.record("a"))
    code, out, err = sparsebench("export-results", "mine", "out.parquet", "--to", "parquet")
    assert (code, out) == (0, "out.parquet: 1 rows; 1 records\n"), err
    before = (tmp_path / "out.parquet").read_bytes()
    code, out, err = sparsebench("export-results", "mine", "out.parquet", "--to", "hub")
    assert (code, out) == (2, "") and "out.parquet is there already" in err.splitlines()[-1]
    assert (tmp_path / "out.parquet").read_bytes() == before
    code, out, err = sparsebench("export-results", "nothing", "out", "--to", "every-eval-ever")
    assert code == 2 and "no results in nothing" in err and not (tmp_path / "out").exists()


def test_the_command_knows_every_form() -> None:
    assert tuple(Form) == FORMS
