"""A table for notebooks, which show what `_repr_html_` gives."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from .visible import visible

MOST_ROWS = 60
"""A notebook is no place for thousands of rows."""


class Cell(NamedTuple):
    """A text of a table, and whether it is bold."""

    text: str
    bold: bool = False


def html_table(titles: Sequence[str], rows: Sequence[Iterable[str | Cell]], caption: str = "") -> str:
    """A plain table; texts are escaped, the first column is the head of its row.

    Args:
        titles: of the columns.
        rows: their texts; those beyond `MOST_ROWS` are counted.
        caption: what stands above it; empty for nothing.

    Returns:
        HTML without style, which a notebook dresses as its own.
    """
    parts = ["<table>"]
    if caption:
        parts.append(f"<caption>{_text(caption)}</caption>")
    parts.append(f"<thead><tr>{''.join(f'<th>{_text(title)}</th>' for title in titles)}</tr></thead><tbody>")
    parts += [f"<tr>{_row(row)}</tr>" for row in rows[:MOST_ROWS]]
    parts.append("</tbody></table>")
    if len(rows) > MOST_ROWS:
        parts.append(f"<p>and {len(rows) - MOST_ROWS:,} more rows</p>")
    return "".join(parts)


def _row(row: Iterable[str | Cell]) -> str:
    head, *cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
    texts = [f"<td>{f'<b>{_text(cell.text)}</b>' if cell.bold else _text(cell.text)}</td>" for cell in cells]
    return f"<th>{_text(head.text)}</th>{''.join(texts)}"


def _text(text: str) -> str:
    return escape(visible(text))
