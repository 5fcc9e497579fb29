"""What the drawer has of a row, and of two.

Pairs have the same figures as `sparsebench compare`; of many rows there are the pairs with a baseline and the best.
"""

import numpy as np
import pytest

from sparsebench.reports.page import rows
from sparsebench.reports.page.rows import MOST_POINTS, columns_of, pairs_of, rows_of
from sparsebench.reports.page.section import section
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.slim import already_whole
from sparsebench.reports.tables.comparison import compare, select
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo

INFO = SuiteInfo(title="V", description="", baseline="base", unit="image")
PAIRED = SuiteInfo(title="V", description="", baseline="method 00", unit="image", margins={"share": 0.01})


def shown(records, examples=None):
    (matrix,) = matrices(records, examples)
    return rows_of(section(matrix, INFO, "vtab"), already_whole, lambda record: "results/mine")


def test_a_row_has_seeds_configuration_and_curves(make):
    curve = [(float(step), 1.0 / (step + 1)) for step in range(500)]
    records = [make.record("base", seed=seed, score=0.5 + 0.1 * seed, curves={"loss": curve}) for seed in (1, 0)]
    (row,) = shown(records)
    expected = {"backbone": "vit-tiny", "method": "base", "rank": "8", "epochs": "10", "dtype": "float32"}
    assert row["config"] == expected
    cell = row["cells"]["0"]
    assert [(one["seed"], one["value"], one["status"]) for one in cell["records"]] == [(0, 50.0, "ok"), (1, 60.0, "ok")]
    assert len(cell["curves"]["loss"]) == MOST_POINTS
    assert cell["curves"]["loss"][0] == [0.0, 1.0] and cell["curves"]["loss"][-1][0] == 499.0
    assert row["folder"] == "results/mine" and row["label"] == "base"


def test_outcomes_by_example_are_those_of_the_lowest_seed(make, monkeypatch):
    right = {0: [1, 0, 1, 1], 1: [0, 0, 1, 1]}
    records = []
    for seed, values in right.items():
        record = make.record("base", seed=seed, score=make.metric(float(np.mean(values)), n=4))
        records.append(record)
    kept = {record.id: {"correct": right[record.cell.seed]} for record in records}
    (row,) = shown(records, ExampleReader(kept.get))
    assert row["cells"]["0"]["examples"] == [1.0, 0.0, 1.0, 1.0]
    monkeypatch.setattr(rows, "MOST_EXAMPLES", 3)
    (row,) = shown(records, ExampleReader(kept.get))
    assert (len(row["cells"]["0"]["examples"]), row["cells"]["0"]["of"]) == (3, 4)
    (row,) = shown(records)
    assert row["cells"]["0"]["examples"] is None


def test_of_very_many_records_a_few_are_named(make, monkeypatch):
    monkeypatch.setattr(rows, "MOST_RECORDS", 4)
    (row,) = shown([make.record("base", seed=seed) for seed in range(5)])
    cell = row["cells"]["0"]
    assert len(cell["records"]) == 3 and cell["left"] == 2 and "examples" not in cell


def test_columns_go_by_what_people_say(make):
    (matrix,) = matrices([make.record("base", "freesolv")])
    assert columns_of(section(matrix, INFO, "vtab")) == [
        {"task": "freesolv", "name": "Hydration free energy (FreeSolv)", "metric": "accuracy"}
    ]


@pytest.fixture(scope="module")
def made(make):
    records = make.grid(4, 2, 3)
    (matrix,) = matrices(records)
    found = section(matrix, PAIRED, "vtab")
    numbers = {line.row: number for number, line in enumerate(found.table.lines)}
    return records, found, numbers


def test_a_pair_has_the_figures_of_compare(made):
    records, found, numbers = made
    (brief,) = (one.brief for one in found.headlines)
    shown = pairs_of(found, brief, numbers)
    assert len(shown) == 6, "all pairs of four rows"
    names = {number: row.label for row, number in numbers.items()}
    for pair, lines in shown.items():
        first, second = (names[int(number)] for number in pair.split("-"))
        expected = compare(select(records, first), select(records, second), margins={"vtab": PAIRED.margins})
        assert [line[1:] for line in lines] == [list(one.texts()[2:]) for one in expected], pair
        assert [line[0] for line in lines] == ["Task 00", "Task 01"]


def test_of_many_rows_those_with_a_baseline_and_the_best_are_made(made, monkeypatch):
    _, found, numbers = made
    (brief,) = (one.brief for one in found.headlines)
    monkeypatch.setattr(rows, "MOST_ROWS", 3)
    names = {number: row.label for row, number in numbers.items()}
    shown = [{names[int(number)] for number in pair.split("-")} for pair in pairs_of(found, brief, numbers)]
    assert len(shown) == 5 and {"method 01", "method 02"} not in shown
    monkeypatch.setattr(rows, "MOST_PAIRS", 2)
    assert len(pairs_of(found, brief, numbers)) == 2
