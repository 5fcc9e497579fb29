"""The terminal, for texts that may hold anything: names and error messages of plug-ins, paths of users."""

from collections.abc import Iterator
from typing import IO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from sparsebench.reports.records.visible import visible


class _PlainConsole(Console):
    """Writes out control characters in all that it is given; its own, of colours, are not in the texts."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """The segments of `Console.render`, with control characters in their texts written out."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)


def open_console(file: IO[str] | None = None, width: int | None = None) -> Console:
    """A console that prints every text as it is: brackets are no markup, `:name:` no picture, an escape code no order.

    Args:
        file: where to print; the standard output unless given.
        width: in characters; that of the terminal unless given.
    """
    return _PlainConsole(file=file, width=width, markup=False, emoji=False, highlight=False)
