"""Slim records: all that tables read, and nothing that is heavy."""

import dataclasses
import json

import pytest

from sparsebench.reports.records.index.slim import Reader, already_whole, form, to_slim
from sparsebench.reports.records.record import CellInfo, DataInfo, Link, TeacherCosts, TrainingCosts

HEAVY = {"traceback", "curves", "details"}


def back(record):
    text, parts = to_slim(record)
    return Reader(parts).record(text)


def test_every_field_but_the_heavy_ones_comes_back(make):
    for record in make.realistic():
        found = back(record)
        for field in dataclasses.fields(record):
            if field.name not in HEAVY:
                assert getattr(found, field.name) == getattr(record, field.name), field.name


def test_all_that_a_record_may_hold(make):
    cell = {
        "then": [Link(method="quantize", config={"bits": 8})],
        "further_backbones": ["teacher"],
        "budget": {"epochs": 1, "tokens": None},
    }
    costs = TrainingCosts(params=3, flops=1e9, seconds=2.5, steps=10, teacher=TeacherCosts(params=1, seconds=0.5))
    record = make.record(cell=cell, training=costs, warnings=["w"], reason="was\nlong", label="Méthode <b>")
    found = back(record)
    assert isinstance(found.cell, CellInfo) and isinstance(found.cell.then[0], Link)
    assert found.cell == record.cell and found.training == costs and found.warnings == ["w"]
    assert all(isinstance(data, DataInfo) for data in found.data)
    assert back(make.record(status="oom", reason="over 4 GB")).costs is None


def test_of_what_is_heavy_the_names_are_kept(make):
    record = make.record(
        status="failed", traceback="T" * 1000, details={"molecules": [1] * 1000}, curves={"l": [(1, 2)]}
    )
    found = back(record)
    assert found.details == {"molecules": None} and found.curves == {"l": []} and found.traceback is None
    assert len(to_slim(record)[0]) < 800
    assert already_whole(record) is record


def test_records_share_what_they_have_in_common(make):
    records = [make.record(seed=seed) for seed in range(2)]
    slim = [to_slim(record) for record in records]
    parts = {**slim[0][1], **slim[1][1]}
    assert slim[0][1] == slim[1][1], "the seed is in no part"
    reader = Reader(parts)
    first, second = (reader.record(text) for text, _ in slim)
    assert [first, second] == records
    assert first.environment is second.environment and first.cell.config is second.cell.config
    assert first.data is second.data


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[2, 3]", json.dumps([2, [], ["x", 0]])])
def test_what_is_no_slim_record_raises(text):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Reader({}).record(text)


def test_a_missing_part_raises(make):
    text, parts = to_slim(make.record())
    for name in parts:
        with pytest.raises(KeyError):
            Reader({other: parts[other] for other in parts if other != name}).record(text)


def test_the_form_follows_the_fields_of_records(monkeypatch):
    before = form()
    monkeypatch.setattr("sparsebench.reports.records.index.slim.SCHEMA_VERSION", 99)
    assert form() != before
