"""The tidy frame, and which of several records of one cell counts."""

import io

import pandas

from sparsebench.reports.tables.dataframe import COLUMNS, newest, to_frame, write_csv


def test_one_row_per_record_and_metric(make):
    scores = {"accuracy": make.metric(0.5), "loss": make.metric(1.2, higher_is_better=False, unit="")}
    good = make.record("a", metrics=scores, main_metric="accuracy")
    bad = make.record("b", status="oom")
    frame = to_frame([good, bad])
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["metric"][:2]) == ["accuracy", "loss"]
    assert list(frame["main"]) == [True, False, False]
    assert frame["value"].isna().tolist() == [False, False, True]
    assert frame["budget"][0] == '{"epochs":10}'
    assert frame["seconds"][0] == 4.0
    assert frame["status"].tolist() == ["ok", "ok", "oom"]


def test_no_records_no_rows():
    assert to_frame([]).empty


def test_the_last_finished_of_a_key_counts(make):
    old = make.record(code="1", id="k-1", finished="2026-01-01")
    new = make.record(code="2", id="k-2", finished="2026-01-02")
    other = make.record("b")
    for order in ([old, new, other], [new, other, old]):
        current, superseded = newest(order)
        assert {record.id for record in current} == {"k-2", other.id}
        assert superseded == [old]


def test_the_csv_says_what_the_frame_says(make):
    text = io.StringIO()
    records = [*make.realistic(), make.record('with, comma and "quotes"', reason=None)]
    write_csv(records, text)
    found = pandas.read_csv(io.StringIO(text.getvalue()), keep_default_na=False, na_values=[""])
    again = pandas.read_csv(io.StringIO(to_frame(records).to_csv(index=False)), keep_default_na=False, na_values=[""])
    pandas.testing.assert_frame_equal(found, again)
    assert list(found.columns) == list(COLUMNS)
