"""The door for those who analyse results in Python."""

from pathlib import Path

import pandas
import pytest

import sparsebench.reports
from sparsebench.reports import read_results
from sparsebench.reports.records.store import Store, StoreError
from sparsebench.reports.tables.dataframe import to_frame


def test_folders_are_read_as_one_frame_and_a_cell_counts_once(make, tmp_path: Path) -> None:
    old = make.record("a", id="k-1", code="1")
    new = make.record("a", id="k-2", code="2", finished="2026-11-25T10:00:00+00:00")
    other = make.record("<b>", status="oom")
    for folder, records in (("one", [old, other]), ("two", [new, other])):
        store = Store(tmp_path / folder).create()
        for record in records:
            store.write(record)
    (tmp_path / "two" / "records" / "broken.json").write_text("{")
    results = read_results(tmp_path / "one", str(tmp_path / "two"))
    assert {record.id for record in results} == {"k-2", other.id} and len(results) == 2
    pandas.testing.assert_frame_equal(results.to_frame(), to_frame(results.records))
    assert [problem.path.name for problem in results.problems] == ["broken.json"]
    assert "2 records, 1 files cannot be read" in repr(results) and "\n" not in repr(results)
    assert "<td>t</td><td>2</td><td>1</td>" in results._repr_html_()


def test_what_holds_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results"):
        read_results(tmp_path)
    with pytest.raises(ValueError, match="one result folder"):
        read_results()
    with pytest.raises(AttributeError, match="nothing"):
        sparsebench.reports.nothing  # noqa: B018


def test_the_example_of_the_readme(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    text = (Path(__file__).parents[2] / "reports" / "README.md").read_text(encoding="utf-8")
    code = text.partition("## Results as data")[2].partition("```python\n")[2].partition("```")[0]
    store = Store(tmp_path / "reports" / "results" / "quick").create()
    for record in (*make.side("a", [0.25, 0.75], "digits"), make.record("b", "digits", status="oom")):
        store.write(record)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert [line.split()[-2:] for line in capsys.readouterr().out.splitlines()][-1] == ["a", "0.5"]
