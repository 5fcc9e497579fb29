"""Tables for the terminal: texts as they are, with the style of what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

OUTCOME_STYLES = {"better": "green", "worse": "red", "not comparable": "dim"}
VERDICT_STYLES = {"holds": "green", "fails": "red", "undecided": "dim", "not testable here": "dim"}
Rows = Iterable[Sequence[str | tuple[str, str]]]
"""Of texts, or of pairs of a text and its style."""


def table_of_texts(titles: Iterable[str], rows: Rows, right: Collection[str] = (), **options: Any) -> Table:
    """A table whose long texts are folded.

    Args:
        titles: of the columns.
        rows: of all of them.
        right: titles of the columns that are set flush right.
        options: of `rich.table.Table`.

    Returns:
        The table; nothing in a text is markup.
    """
    from rich.table import Table
    from rich.text import Text

    shown = Table(title_style="bold", **options)
    for title in titles:
        shown.add_column(title, justify="right" if title in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) if isinstance(cell, str) else Text(*cell) for cell in row))
    return shown


def plain_table(titles: Iterable[str], rows: Rows, right: Collection[str] = (), **options: Any) -> Table:
    """The same with no lines but the one below the titles, and what stands below it to the left."""
    from rich.box import SIMPLE

    return table_of_texts(titles, rows, right, box=SIMPLE, pad_edge=False, caption_justify="left", **options)
