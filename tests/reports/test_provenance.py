"""What all records together say of their origin."""

from sparsebench.reports.provenance import older_code_note, provenance


def test_what_differs_between_records_is_named_once(make) -> None:
    records = [make.record("a"), make.record("b"), make.record("a", "other")]
    found = provenance(records)
    assert len(set(found.code)) == len(found.code) >= 1
    assert found.started <= found.finished
    assert found.seconds == sum(sum(record.times.values()) for record in records)


def test_how_many_records_are_of_older_code(make) -> None:
    scored = [make.record("a"), make.record("b")]
    left_out = make.record("c", status="n/a", reason="cannot")
    assert older_code_note([*scored, left_out], 1) == "1 of 2 records were made by older code"
    assert older_code_note(scored, 0) == ""
