"""Tables in Markdown files that programs make: written, and read again."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

RULE = "| ---"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of one table."""
    return [_line(head), f"|{' --- |' * len(head)}", *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rows_of(text: str) -> list[list[str]]:
    """The cells of all tables in a text, row by row, without heads."""
    found = []
    for line, after in pairwise([*text.splitlines(), ""]):
        if line.startswith("| ") and not line.startswith(RULE) and not after.startswith(RULE):
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found
