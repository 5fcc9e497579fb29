"""Pairs: the same figures as `sparsebench compare`; of many rows the pairs with a baseline and the best."""

import pytest

from sparsebench.reports.page import pairs
from sparsebench.reports.page.pairs import pairs_of
from sparsebench.reports.page.section import section
from sparsebench.reports.tables.comparison import compare, select
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo

INFO = SuiteInfo(title="V", description="", baseline="method 00", unit="image", margins={"share": 0.01})


@pytest.fixture(scope="module")
def made(make):
    records = make.grid(4, 2, 3)
    (matrix,) = matrices(records)
    found = section(matrix, INFO, "vtab")
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
        expected = compare(select(records, first), select(records, second), margins={"vtab": INFO.margins})
        assert [line[1:] for line in lines] == [list(one.texts()[2:]) for one in expected], pair
        assert [line[0] for line in lines] == ["Task 00", "Task 01"]


def test_of_many_rows_those_with_a_baseline_and_the_best_are_made(made, monkeypatch):
    _, found, numbers = made
    (brief,) = (one.brief for one in found.headlines)
    monkeypatch.setattr(pairs, "MOST_ROWS", 3)
    names = {number: row.label for row, number in numbers.items()}
    shown = [{names[int(number)] for number in pair.split("-")} for pair in pairs_of(found, brief, numbers)]
    assert len(shown) == 5 and {"method 01", "method 02"} not in shown
    monkeypatch.setattr(pairs, "MOST_PAIRS", 2)
    assert len(pairs_of(found, brief, numbers)) == 2
