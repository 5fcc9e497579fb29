"""What is printed of tables: published figures or why there are none, needs, state, commands."""

import pytest

from sparsebench.reports.published.paper_tables import figures_of, paper_tables
from sparsebench.reports.published.side_by_side import Line, Shown, SideBySide
from sparsebench.reports.statistics import Estimate
from sparsebench.suites.runner.show.reproduction.describe import (
    block_document,
    comparison_text,
    reproduce_document,
    table_text,
    tables_text,
)

STATES = {"run here", "ready for one GPU", "ready for eight GPUs", "impossible"}


def test_every_table_prints(subtests: pytest.Subtests) -> None:
    documents = reproduce_document(paper_tables())["tables"]
    assert {document["needs"]["state"] for document in documents} == STATES
    for table, document in zip(paper_tables().values(), documents, strict=True):
        with subtests.test(table.id):
            text = table_text(document)
            assert table.paper in text and document["caption"] in text
            assert document["needs"]["state"] in text
            assert all(f"  {line}" in text for line in document["commands"])
            values = [value for block in document["published"] for row in block["rows"] for value in row["values"]]
            figures = [value for value in values if value != "–"]
            assert len(figures) == len(figures_of(table))
            assert ("published figures: unknown" in text) == (not figures)
            if document["needs"]["state"] != "impossible":
                assert all(line in text for line in document["needs"]["arithmetic"]) and document["commands"]


def test_the_list_has_a_line_for_each_table() -> None:
    text = tables_text()
    for name, table in paper_tables().items():
        (line,) = [line for line in text.splitlines() if line.split()[0] == name]
        assert line.endswith(f"{table.table}: {table.caption}")


def test_a_table_names_what_it_needs() -> None:
    (document,) = reproduce_document(["idat-vtab-1k"])["tables"]
    text = table_text(document)
    assert "checkpoint teacher: timm/vit_small_patch16_224.augreg_in21k" in text
    assert "SPARSEBENCH_VTAB1K" in text and "not as in the paper:" in text


def test_a_stand_in_is_never_shown_as_ours() -> None:
    block = SideBySide("s", (("a", "m"),), (Line("paper", "x", ("1",)), Line("stand-in", "x", (None,))))
    text = comparison_text([block], "")
    assert text.startswith("STAND-IN: a small model in the place of the paper's")
    assert "stand-in  x  –" in text and "ours" not in text
    assert [row["values"] for row in block_document(block)["rows"]] == [["1"], [None]]
    assert "unknown (not readable)" in comparison_text([], "not readable")


def test_columns_without_a_score_of_ours_are_left_out_and_differences_said() -> None:
    ours = Shown(Estimate(0.5, 0.1, 3, "seeds"), "share")
    lines = (Line("paper", "x", ("11", "22")), Line("ours", "x", (None, ours)))
    text = comparison_text([SideBySide("s", (("absent", "m"), ("there", "m")), lines)], "", ["the epoch is the last"])
    assert "absent" not in text and "11" not in text and "there" in text and "22" in text
    assert "not as in the paper:\n  the epoch is the last\n" in text
