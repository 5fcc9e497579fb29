"""The index of the papers' tables: each figure is of one table, and what nobody could read has no figure."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from sparsebench.reports.published.paper_tables import INDEX, figures_of, paper_tables, printed, read_index
from sparsebench.reports.tables.published import published


def test_the_index_covers_the_papers() -> None:
    tables = dict(paper_tables())
    papers = Counter(table.paper.partition(" (")[0] for table in tables.values())
    assert len(tables) == 51
    del tables["vtab"]
    eight = ("LLaMA-MoE v1", "LLaMA-MoE v2", "MoE-SFT", "Unified MoE compression", "SparseAdapter", "PAD-Net", "iDAT")
    assert set(papers) >= {*eight, "GraphsGPT"}
    assert sum(len(figures_of(table)) for table in tables.values()) == 2173
    assert Counter(bool(table.figures) for table in tables.values()) == {True: 32, False: 18}


def test_a_figure_is_of_one_table() -> None:
    """But for the table that shows two of them at once."""
    tables = dict(paper_tables())
    both = tables.pop("vtab")
    assert both.figures == (tables["petl-vision"].figures[0], tables["v-petl-bench"].figures[0])
    sources = [source for table in tables.values() for source in table.figures]
    assert len(sources) == len(set(sources))
    assert set(sources) <= {figure.source for figure in published()}


def test_a_table_that_nobody_could_read_has_no_figure_and_says_why() -> None:
    for table in paper_tables().values():
        if not table.figures:
            assert printed(table) == [] and figures_of(table) == ()
            assert len(table.unknown) > 10


def test_a_table_is_printed_as_its_paper_has_it() -> None:
    (block,) = printed(paper_tables()["v1-table-2"])
    (line,) = [line for line in block.lines if line.name == "LLaMA-MoE-3.5B (2/8)"]
    row = {task: text for (task, _), text in zip(block.columns, line.texts, strict=True)}
    assert row["sciq"] == "88.4" and row["mean of tasks"] == "57.6" and row["mmlu"] == "27.0"
    assert "25-shot: arc_challenge" in block.notes
    assert len(printed(paper_tables()["compression-efficiency"])) == 2


def test_what_was_read_in_a_translation_says_so() -> None:
    for name in ("dot-moe", "cmoe-table-1", "expertweaver-table-1", "expertweaver-table-3"):
        for figure in figures_of(paper_tables()[name]):
            assert "second-hand" in figure.source and "second-hand" in figure.note


def change(tmp_path: Path, **fields: object) -> Path:
    """The index with other fields of its second table; None takes one away."""
    content = yaml.safe_load(INDEX.read_text(encoding="utf-8"))
    content[1] = {key: value for key, value in (content[1] | fields).items() if value is not None}
    file = tmp_path / "index.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unknown": "not readable"}, "either `figures` or the reason"),
        ({"figures": None}, "either `figures` or the reason"),
        ({"figures": ["a paper that nobody read"]}, "no published figure has the source"),
        ({"id": "v1-table-1"}, "two tables are called"),
        ({"value": 57.6}, "value"),
        ({"caption": None}, "caption"),
    ],
)
def test_a_broken_index_is_refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    assert read_index(change(tmp_path)) == paper_tables()
    with pytest.raises(ValueError, match=message):
        read_index(change(tmp_path, **fields))
