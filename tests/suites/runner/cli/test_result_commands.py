"""`report` and `compare`."""

from sparsebench.reports.page.html import unpack
from sparsebench.reports.records.store import Store


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
