"""The contract of a panel: it shows one entry of a record, for all rows of a suite."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from ..figures import Figure, Gallery
from ..figures.plots import MAX_MARKS, Entry, Value
from ..records.links import by_link
from ..records.record import Record, RecordError


@dataclass(frozen=True)
class Content:
    """What a panel shows of a suite under one heading; `legend` says how to read it and what is not shown."""

    title: str
    figures: tuple[Figure, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    legend: str = ""
    tasks: frozenset[str] = frozenset()
    """The tasks whose records have such an entry; whoever asks the panel fills it in."""


def more(count: int, what: str) -> str:
    """The end of a legend, " 3 more tasks are in the records."; empty where nothing is left out."""
    return f" {count} more {what}." if count > 0 else ""


class Panel(ABC, Generic[Value]):
    """A panel is one file that holds an object of this kind, called `PANEL`.

    Most read one entry of `Record.details`. Tasks and methods write it: the file also has `to_details`, which makes the
    JSON that `parse` takes. A panel of something else that a record holds, say its curves, overrides `entry`.
    """

    key: ClassVar[str]
    """The entry of `Record.details` that it reads; the name of the panel in messages."""

    def entry(self, record: Record) -> Any:
        """What the record holds for this panel, unchecked; of a chain what the last link noted.

        It is also asked of slim records, which have the names in `details` and `curves` and nothing under them.

        Args:
            record: whole or slim.

        Raises:
            KeyError: it holds nothing for this panel.
        """
        noted = by_link(record.details, self.key)
        if not noted:
            raise KeyError(self.key)
        return noted[max(noted)]

    def has_entry(self, record: Record) -> bool:
        """Whether the record holds something for this panel."""
        try:
            self.entry(record)
        except KeyError:
            return False
        return True

    @abstractmethod
    def parse(self, value: Any) -> Value:
        """The JSON value of the entry, checked.

        Args:
            value: what `entry` gave.

        Raises:
            RecordError: a value that makes no sense. A missing key or a wrong type may raise what Python raises.
        """

    @abstractmethod
    def show(self, entries: Sequence[Entry[Value]]) -> Content | None:
        """What the page shows of a suite, a bounded amount; None if there is nothing worth showing.

        Args:
            entries: one per row and task that has such an entry (of its lowest seed), in the order of the table; at
                least one.
        """

    def read(self, record: Record) -> Value:
        """What a whole record holds for this panel, checked.

        Raises:
            RecordError: the entry has another form; the message names the record.
            KeyError: there is no such entry.
        """
        value = self.entry(record)
        try:
            return self.parse(value)
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            reason = str(error) if isinstance(error, RecordError) else repr(error)
            raise RecordError(f"record {record.id}: details[{self.key!r}] is not of its form: {reason}") from error


class TaskPanel(Panel[Value]):
    """A panel with figures for each task, of the first rows and tasks."""

    title: ClassVar[str]
    legend: ClassVar[str]
    most_tasks: ClassVar[int] = 6

    @abstractmethod
    def figures(self, task: str, entries: Sequence[Entry[Value]]) -> Iterable[Figure]:
        """Those of one task.

        Args:
            task: its name.
            entries: of the first rows that have one on it, at least one.
        """

    def show(self, entries: Sequence[Entry[Value]]) -> Content | None:
        """The figures of the first tasks; the legend says how many tasks and rows are left out."""
        tasks: dict[str, list[Entry[Value]]] = {}
        for entry in entries:
            tasks.setdefault(entry.task, []).append(entry)
        figures: list[Figure] = []
        left = 0
        for task, found in list(tasks.items())[: self.most_tasks]:
            figures += self.figures(task, found[:MAX_MARKS])
            left += max(0, len(found) - MAX_MARKS)
        if not figures:
            return None
        said = more(len(tasks) - self.most_tasks, "tasks are in the records") + more(left, "rows are in the records")
        return Content(self.title, tuple(figures), legend=self.legend + said)
