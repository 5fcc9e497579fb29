"""How a score by the protocol of VTAB-1K came about: options that the validation part chose, parameters, inputs.

It reads `details["protocol"]`, which `suites/prediction/chosen.py` writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS
from ..records.record import RecordError
from ..tables import formatting
from .panel import Content, Entry, Panel, more

KEY = "protocol"
LEGEND = (
    "One seed. Options were chosen on the validation part of each task; then training and validation part trained "
    "together, and the last epoch was scored on the test part, once. Parameters are means over the tasks, whose heads "
    "differ in size; the bars are without head. A teacher's are not among them: the table of training costs has those."
)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What a reader must know to compare a score with a published one.

    Raises RecordError for a head that is larger than all that was trained.
    """

    trained: int
    """Parameters that were trained, the head's included and a teacher's not."""
    head: int
    """Those of the head."""
    rows: int
    """Examples that the scored model trained on."""
    chosen: Mapping[str, Any]
    """Options that the validation part chose."""
    inputs: str = ""
    """Size and normalisation of the inputs."""

    def __post_init__(self) -> None:
        if not 0 <= self.head <= self.trained:
            raise RecordError(f"a head of {self.head} parameters is no part of {self.trained}")


def to_details(protocol: Protocol) -> dict[str, Any]:
    """The entry of a record's details."""
    return {KEY: asdict(protocol)}


class ChosenOptionsPanel(Panel[Protocol]):
    """Parameters without head as bars; the rest in words."""

    key = KEY

    def parse(self, value: Any) -> Protocol:
        """What one record says."""
        return Protocol(**value)

    def show(self, entries: Sequence[Entry[Protocol]]) -> Content:
        """One figure for all tasks."""
        rows: dict[str, list[Entry[Protocol]]] = {}
        for entry in entries:
            rows.setdefault(entry.title, []).append(entry)
        shown = list(rows.values())[:MAX_MARKS]
        marks = [found[0].mark(_without_head(found)) for found in shown]
        title = "Parameters trained, without head"
        titles = ("row", "with head", "without head", "chosen", "inputs")
        words = Words(titles, tuple(map(_row, shown)))
        legend = LEGEND + more(len(rows) - len(shown), "rows are in the records")
        return Content("Protocol", (Figure(title, plots.bars(marks, title, "parameters"), words=words),), legend=legend)


def _row(entries: Sequence[Entry[Protocol]]) -> tuple[str, ...]:
    chosen = "; ".join(f"{entry.task}: {_options(entry.value.chosen)}" for entry in entries)
    inputs = "; ".join(dict.fromkeys(entry.value.inputs for entry in entries))
    with_head = formatting.count(fmean(entry.value.trained for entry in entries))
    return (entries[0].title, with_head, formatting.count(_without_head(entries)), chosen, inputs)


def _options(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in chosen.items()) or "–"


def _without_head(entries: Sequence[Entry[Protocol]]) -> float:
    """Mean over the tasks."""
    return fmean(entry.value.trained - entry.value.head for entry in entries)


PANEL = ChosenOptionsPanel()
