"""Sections: all that the page shows of a suite."""

import pytest

from sparsebench.reports.page.section import HERE, section
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo

INFO = SuiteInfo(title="Vision <b>", description="Small images.", baseline="base", unit="image")


def test_a_section_holds_all_of_a_suite(make):
    records = [make.record("base", "fashion_mnist"), make.record("a", "fashion_mnist", status="n/a", reason="why")]
    (matrix,) = matrices(records)
    found = section(matrix, INFO, "vision")
    assert found.anchor == "vision"
    assert [entry.row.label for entry in found.table.lines] == ["base", "a"]
    assert [line.line.row.label for line in found.headlines[0].brief.lines] == ["base"]


@pytest.mark.parametrize(("task", "shared"), [("svhn", True), ("a task of our own", False)])
def test_published_figures_are_compared_on_tasks_of_the_same_name_only(make, task, shared):
    (matrix,) = matrices([make.record("base", task, cell={"suite": "vtab"})])
    found = section(matrix, INFO, "x")
    assert bool(found.compared) == shared
    assert all(line.name == "base" for block in found.compared for line in block.lines if line.who == HERE)
    assert all(any(line.who == HERE for line in block.lines) for block in found.compared)
    assert found.published
