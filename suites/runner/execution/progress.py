"""Progress of a run: a live display on a terminal, one plain line per cell elsewhere."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from time import perf_counter
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from sparsebench.reports.records.visible import visible

from ..identity.cell import Cell
from ..planning.durations import Durations, Remaining, clock
from .execute import End
from .executors.interface import Ended, Event, Notice, Started

STYLES = {"ok": "green", "n/a": "dim"}


class Display(AbstractContextManager):
    """Shows the cells of a run as they end, and the time left. An event costs the same however many are left."""

    def __init__(self, console: Console, cells: Sequence[Cell], durations: Durations, workers: int) -> None:
        self._console = console
        self._workers = workers
        self._remaining = Remaining([cell.info for cell in cells], durations)
        self._running: dict[str, Cell] = {}
        self._total = len(cells)
        self._done: Counter[str] = Counter()
        self._progress = Progress(
            TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), console=console
        )
        suites = Counter(cell.info.suite for cell in cells)
        self._bars = {name: self._progress.add_task(name, total=count) for name, count in suites.items()}
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._start = perf_counter()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def update(self, events: Sequence[Event]) -> None:
        """Take in what happened since the last call."""
        for event in events:
            if isinstance(event, Notice):
                self._print(Text(event.text, style="yellow"))
                continue
            if isinstance(event, Started):
                self._running[event.cell.id] = event.cell
                continue
            self._running.pop(event.cell.id, None)
            if isinstance(event, Ended):
                self._take_end(event.cell, event.end)
            else:
                line = Text(f"again   {event.cell.title}: {event.reason}", style="yellow")
                self._print(line)
        if self._live:
            for name, bar in self._bars.items():
                self._progress.update(bar, completed=self._done[name])
            running = [Text(f"  running {cell.title}", style="dim") for cell in self._running.values()]
            self._live.update(Group(self._progress, *running, Text(f"  {self._clock()}")))

    def _take_end(self, cell: Cell, end: End) -> None:
        self._done[cell.info.suite] += 1
        self._remaining.drop(cell.info)
        if end.status == "ok":
            self._remaining.learn(cell.info, end.seconds, end.trained)
        if self._live is None or end.status != "ok":
            self._print(self._line(cell, end))

    def _print(self, line: Text) -> None:
        """Where there is no terminal, without rich: its way to plain text takes a third of what leading a run costs."""
        if self._console.is_terminal:
            self._console.print(line, soft_wrap=True, highlight=False)
        else:
            self._console.file.write(f"{visible(line.plain)}\n")
            self._console.file.flush()

    def _line(self, cell: Cell, end: End) -> Text:
        outcome = end.score if end.status == "ok" else end.reason or ""
        line = Text(f"[{self._done.total()}/{self._total}] ")
        line.append(f"{end.status:<7}", style=STYLES.get(end.status, "bold red"))
        return line.append(f" {cell.title}: {outcome} ({end.seconds:.1f} s; {self._clock()})")

    def _clock(self) -> str:
        left = self._remaining.seconds(self._workers)
        passed = clock(perf_counter() - self._start)
        return f"{passed} passed, about {clock(left)} left" if left is not None else f"{passed} passed"
