"""What result folders hold: what is not known of them."""

from pathlib import Path

from sparsebench.reports.page.reading import Reading


def test_of_records_alone_nothing_else_is_known(make):
    record = make.record("base")
    reading = Reading(records=[record])
    assert reading.title == "Report" and reading.where(record) == "." and reading.whole(record) is record
    assert list(reading.standings) == [None], "nobody ran its cells again"
    assert reading.examples.scores(record.id, "accuracy", 0.5) is None and not reading.examples.problems
    named = Reading(records=[record], folders=(Path("results/a"), Path("results/b")))
    assert named.title == "a and b"
