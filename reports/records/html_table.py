"""A table for notebooks, which show what `_repr_html_` gives."""

from collections.abc import Iterable, Sequence
from html import escape

from .visible import visible

MOST_ROWS = 60
"""A notebook is no place for thousands of rows."""
Cell = str | tuple[str, bool]
"""A text of a table, or one and whether it is bold."""


def html_table(titles: Sequence[str], rows: Sequence[Iterable[Cell]], caption: str = "") -> str:
    """A plain table; texts are escaped, the first column is the head of its row.

    Args:
        titles: of the columns.
        rows: their cells; those beyond `MOST_ROWS` are counted.
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


def _row(row: Iterable[Cell]) -> str:
    head, *cells = [(cell, False) if isinstance(cell, str) else cell for cell in row]
    texts = [f"<td>{f'<b>{_text(text)}</b>' if bold else _text(text)}</td>" for text, bold in cells]
    return f"<th>{_text(head[0])}</th>{''.join(texts)}"


def _text(text: str) -> str:
    return escape(visible(text))
