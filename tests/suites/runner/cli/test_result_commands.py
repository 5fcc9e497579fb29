"""`report` and `compare`."""

import json

from sparsebench.reports.page.html import unpack
from sparsebench.reports.records.store import Store

from ..verification.two import two_folders


def test_a_broken_record_is_named_skipped_and_counted(bench) -> None:
    bench.write_toys("toy_fine", seeds=2)
    assert bench.call(*bench.run_arguments()).returncode == 0
    first, second = sorted((bench.out / "records").glob("*.json"))
    first.write_bytes(first.read_bytes()[:100])
    report = bench.call("report", str(bench.out))
    assert report.returncode == 0, report.stderr
    assert first.name in report.stdout
    assert "truncated" in report.stdout
    page = unpack((bench.out / "report" / "index.html").read_text())
    assert first.name in page["about"]["problems"][0]
    again = bench.call(*bench.run_arguments())
    assert "2 cells, 1 to run" in again.stdout
    assert len(Store(bench.out).open().read_all()[0]) == 2
    assert second.exists()


def test_compare_takes_two_folders_as_well_as_two_rows(bench, tmp_path) -> None:
    first, second = two_folders(tmp_path)
    found = bench.call("compare", str(first), str(second))
    assert found.returncode == 0 and "In both folders: 8 cells" in found.stdout
    document = json.loads(bench.call("compare", str(first), str(second), "--json").stdout)
    assert document["schema"] == "sparsebench/compare-folders/1" and document["counts"]["exact"] == 1
    row = bench.call("compare", str(first), "exact")
    assert row.returncode == 2 and "'exact' is no folder: name two rows of" in row.stderr
