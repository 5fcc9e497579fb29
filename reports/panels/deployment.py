"""What is left of a model on disk and in a fresh process: bytes, prefill and decoding by the length of the prompt.

It reads `details["deployment"]`, which the tasks of `suites/llm/deployment/` write.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..figures import Figure, Words, plots
from ..records.record import RecordError
from ..tables import formatting
from .panel import Entry, TaskPanel

KEY = "deployment"
TITLES = ("row", "stored", "on disk", "resident", "peak", "prefill, tokens/s", "decode, tokens/s")
LEGEND = (
    "One seed. Stored: parameters and buffers as they lie in memory. Resident: what loading the model and reading the "
    "test text adds to a fresh process; peak: the most on the way. Prefill: tokens of a prompt per second; decode: "
    "tokens that are written after it, one by one, with a cache, by the median token. Seconds are CPU seconds of all "
    "threads where there is no accelerator. The longest prompt is drawn."
)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """Bytes (None where the system does not say), and tokens per second by the tokens of the prompt.

    Raises RecordError for rates that are no positive numbers.
    """

    stored_bytes: int
    disk_bytes: int
    resident_bytes: int | None
    peak_bytes: int | None
    prefill: Mapping[int, float]
    decode: Mapping[int, float]

    def __post_init__(self) -> None:
        rates = [*self.prefill.values(), *self.decode.values()]
        if not self.decode or not all(0 < rate < math.inf for rate in rates):
            raise RecordError(f"{rates} are no rates: they must be finite and above 0")
        if self.prefill.keys() != self.decode.keys():
            raise RecordError(f"prompts of {list(self.prefill)} tokens were read, and of {list(self.decode)} continued")

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt."""
        return max(self.decode)


def to_details(deployed: Deployed) -> dict[str, Any]:
    """The entry of a record's details."""
    entry = asdict(deployed)
    for name in ("prefill", "decode"):
        entry[name] = {str(length): formatting.rounded(rate, 4) for length, rate in entry[name].items()}
    return {KEY: entry}


class DeploymentPanel(TaskPanel[Deployed]):
    """Decoding of all rows as bars; the rest in words."""

    key = KEY
    title = "Deployment"
    legend = LEGEND

    def parse(self, value: Any) -> Deployed:
        """What one record says."""
        entry = dict(value)
        for name in ("prefill", "decode"):
            entry[name] = {int(length): float(rate) for length, rate in entry[name].items()}
        return Deployed(**entry)

    def figures(self, task: str, entries: Sequence[Entry[Deployed]]) -> Iterator[Figure]:
        """Bars of the longest prompt."""
        marks = [entry.mark(entry.value.decode[entry.value.longest]) for entry in entries]
        title = f"{task}: decoding"
        drawn = plots.bars(marks, title, "tokens per second")
        yield Figure(title, drawn, _not_faster(entries), Words(TITLES, tuple(map(_row, entries))))


def _not_faster(entries: Sequence[Entry[Deployed]]) -> str:
    """Which rows store less than the largest and yet do not read or write faster than it; nothing if all do."""
    largest = max(entries, key=lambda entry: entry.value.stored_bytes)
    whole = largest.value
    found = []
    for entry in entries:
        common = whole.decode.keys() & entry.value.decode.keys()
        if entry.value.stored_bytes >= whole.stored_bytes or not common:
            continue
        prefill = entry.value.prefill[max(common)] / whole.prefill[max(common)]
        decode = entry.value.decode[max(common)] / whole.decode[max(common)]
        if min(prefill, decode) <= 1:
            found.append(f"row {entry.number} (prefill {prefill:.2f} ×, decode {decode:.2f} ×)")
    if not found:
        return ""
    return f"Smaller than row {largest.number}, but not faster in both: {', '.join(found)}."


def _row(entry: Entry[Deployed]) -> tuple[str, ...]:
    found = entry.value
    sizes = (found.stored_bytes, found.disk_bytes, found.resident_bytes, found.peak_bytes)
    return (entry.title, *map(formatting.size, sizes), _by_length(found.prefill), _by_length(found.decode))


def _by_length(rates: Mapping[int, float]) -> str:
    """As "120 (32), 118 (128)": the rate, and the length of the prompt."""
    return ", ".join(f"{formatting.count(rate)} ({length})" for length, rate in sorted(rates.items()))


PANEL = DeploymentPanel()
