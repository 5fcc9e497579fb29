"""Every table of the papers: what it is, what it needs, where its figures are, or why nobody could read them.

`index.yaml` has the tables. Their figures lie in the CSV files beside it and are found by their source; a figure that
nobody has read is in none of them, so it cannot be printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from ..tables.published import Published, SideBySide, pivot, published

INDEX = Path(__file__).with_name("index.yaml")


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table. Raises ValueError where it has both figures and a reason for having none, or neither.

    Attributes:
        id: its name in commands.
        paper: the paper, with its number on arXiv.
        table: its number in the paper, or what it is about.
        number_known: whether `table` is the number.
        caption: what it shows.
        models: models in it.
        datasets: data in it.
        metric: what is measured.
        figures: sources of its figures.
        unknown: why it has none.
        read_in: where the figures were read.
        official_command: the command of the paper's own code.
        hardware: of the paper.
        note: what one should know of it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    id: str
    paper: str
    table: str
    number_known: bool
    caption: str
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    metric: str = ""
    figures: tuple[str, ...] = ()
    unknown: str = ""
    read_in: str = ""
    official_command: str = ""
    hardware: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if bool(self.figures) == bool(self.unknown):
            raise ValueError(f"table {self.id!r} needs either `figures` or the reason why they are `unknown`")


@cache
def paper_tables() -> Mapping[str, PaperTable]:
    """All tables by their names, in the order of the index. Raises ValueError where the index is broken."""
    return read_index(INDEX)


def read_index(path: Path) -> Mapping[str, PaperTable]:
    """The tables of an index.

    Args:
        path: a file like `index.yaml`.

    Returns:
        Them by their names, in its order.

    Raises:
        ValueError: a field that there is not, is missing or of another type; two tables of one name; figures of a
            source that no CSV file has.
    """
    import yaml
    from pydantic import TypeAdapter

    tables = TypeAdapter(tuple[PaperTable, ...]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    sources = {figure.source for figure in published()}
    found: dict[str, PaperTable] = {}
    for table in tables:
        if table.id in found:
            raise ValueError(f"{path.name}: two tables are called {table.id!r}")
        absent = sorted(set(table.figures) - sources)
        if absent:
            raise ValueError(f"{path.name}, table {table.id!r}: no published figure has the source {absent[0]!r}")
        found[table.id] = table
    return found


def figures_of(table: PaperTable) -> tuple[Published, ...]:
    """The published figures of a table, none where they are unknown."""
    return tuple(figure for figure in published() if figure.source in table.figures)


def printed(table: PaperTable) -> list[SideBySide]:
    """The figures of a table as texts, one block for each source."""
    figures = figures_of(table)
    return [pivot(source, [figure for figure in figures if figure.source == source]) for source in table.figures]
