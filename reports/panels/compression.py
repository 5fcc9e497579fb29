"""Compressed models: what each link took away, bytes and work that are left, similarity by layer, loss against bytes.

It reads what methods note (`reports/compression/notes.py`), the costs of a record and its main metric. What the saved
model takes in a fresh process stands in the panel of deployment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..compression.notes import KEY, Link, from_details
from ..figures import Figure, Words, plots
from ..records.record import Costs, Metric, Record
from ..tables import formatting
from .panel import Entry, TaskPanel, by_link

SEARCH = "search"
"""The entry of `Record.details` in which a search notes its passes."""
TITLES = ("row", "taken away", "stored", "active", "FLOPs", "decided in", "quality")
MAX_LINES = 10
"""Rows whose similarities are drawn."""
LEGEND = (
    "One seed. What each link of a chain took away from the model as it found it, in order; blocks are numbered from "
    "0. Unseen: experts that no calibration token chose. Error: squared error of the outputs of rounded matrices as a "
    "share of the squared outputs, mean. Zeros lie in matrices as large as before and save nothing. Stored: parameters "
    "and buffers as they lie in memory. Decided in: the time in which the row was prepared, and how often a search ran "
    "the model over its batches. FLOPs, as active parameters, are per unit of the task."
)


@dataclass(frozen=True)
class Compressed:
    """What one record says: its links, costs, and the main metric with its name."""

    links: tuple[Link, ...]
    costs: Costs | None
    name: str
    metric: Metric | None
    seconds: float | None = None
    """In which the row was prepared."""
    passes: float | None = None
    """Of the model over the calibration batches that a search took."""


class CompressionPanel(TaskPanel[Compressed]):
    """All rows in words and by their bytes, against quality where more than one was scored; similarities by block."""

    key = KEY
    title = "Compression"
    legend = LEGEND
    most_tasks = 3

    def entry(self, record: Record) -> Any:
        """What each link noted, the costs and the main metric. Raises KeyError where no link noted anything."""
        noted = by_link(record.details, KEY)
        if not noted:
            raise KeyError(KEY)
        passes = [one["passes"] for one in by_link(record.details, SEARCH).values()]
        cost = record.times.get("prepare"), sum(passes) if passes else None
        return noted, record.costs, record.main_metric, record.metrics.get(record.main_metric or ""), cost

    def parse(self, value: Any) -> Compressed:
        """What one record says."""
        noted, costs, name, metric, (seconds, passes) = value
        links = tuple(from_details(number, note) for number, note in noted.items())
        return Compressed(links, costs, name or "", metric, seconds, passes)

    def figures(self, task: str, entries: Sequence[Entry[Compressed]]) -> Iterator[Figure]:
        """What was taken away and what is left, quality against bytes, similarities."""
        marks = []
        for entry in entries:
            before = entry.value.links[0].bytes[0]
            marks.append(entry.mark(100 * (_bytes_left(entry.value) / before if before else 1.0)))
        title = f"{task}: stored bytes that are left"
        words = Words(TITLES, tuple(map(_row, entries)))
        yield Figure(title, plots.bars(marks, title, "% of the model before"), words=words)
        yield from _against_bytes(task, entries)
        yield from _similarities(task, entries)


def _row(entry: Entry[Compressed]) -> tuple[str, ...]:
    found = entry.value
    quality = "–"
    if found.metric is not None:
        quality = f"{found.name} {formatting.number(found.metric.value, found.metric.unit)}"
    return (
        entry.title,
        "; ".join(_taken(link, len(found.links)) for link in found.links),
        formatting.size(_bytes_left(found)),
        formatting.count(found.costs and found.costs.params_active),
        formatting.count(found.costs and found.costs.flops),
        _decided(found),
        quality,
    )


def _decided(found: Compressed) -> str:
    """As "41 s, 57 passes"; a dash where nobody measured it."""
    if found.seconds is None:
        return "–"
    text = formatting.duration(found.seconds)
    return text if found.passes is None else f"{text}, {found.passes:.0f} passes"


def _bytes_left(found: Compressed) -> float:
    """After the last link that compressed anything."""
    return found.links[-1].bytes[1]


def _taken(link: Link, links: int) -> str:
    """As "2. 8 of 32 experts (3 unseen)"."""
    parts = (_experts(link), _widths(link), _depth(link), _rounded(link), _zeros(link))
    text = ", ".join(filter(None, parts)) or "nothing"
    return f"{link.number}. {text}" if links > 1 else text


def _experts(link: Link) -> str:
    before = sum(link.values("experts_before"))
    gone = before - sum(link.values("experts"))
    if not gone:
        return ""
    left = f"{gone:.0f} of {before:.0f} experts ({_spread(link.values('experts'))} left by layer"
    return f"{left}{_count(link, 'unseen_experts', 'unseen')})"


def _widths(link: Link) -> str:
    widths = [width for width in link.values("width") if width]
    return f"experts {_spread(widths)} wide" if widths else ""


def _depth(link: Link) -> str:
    gone = " ".join(f"{block:.0f}" for block, dropped in link.points("dropped") if dropped)
    return f"layers or blocks {gone}" if gone else ""


def _rounded(link: Link) -> str:
    bits = link.values("bits")
    if not bits:
        return ""
    text = f"{_spread(bits)} bits"
    groups = sorted(set(link.values("group_size")))
    if groups:
        text += f" in groups of {' '.join('a row' if size == 0 else f'{size:.0f}' for size in groups)}"
    errors = link.values("error")
    if errors:
        text += f", error {100 * fmean(errors):.2f} %"
    return text + _count(link, "to_nearest", "to nearest for want of tokens")


def _zeros(link: Link) -> str:
    zeros = link.zeros()
    if not zeros:
        return ""
    text = f"{100 * fmean(zeros):.1f} % zeros in {len(zeros)} matrices"
    return text + _count(link, "by_magnitude", "by magnitude for want of tokens")


def _count(link: Link, name: str, what: str) -> str:
    """The end of a part: how many experts of a list there are, if any."""
    count = len(link.values(name))
    return f", {count} {what}" if count else ""


def _spread(values: Sequence[float]) -> str:
    low = min(values)
    high = max(values)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _against_bytes(task: str, entries: Sequence[Entry[Compressed]]) -> Iterator[Figure]:
    """The main metric against the bytes that are left, where two rows or more have it."""
    scored = [(entry, entry.value.metric) for entry in entries if entry.value.metric is not None]
    if len(scored) < 2:
        return
    marks = [entry.mark(metric.value, cost=_bytes_left(entry.value) / 1e6) for entry, metric in scored]
    first, metric = scored[0]
    title = f"{task}: {first.value.name} against stored bytes"
    yield Figure(title, plots.tradeoff(marks, title, "stored (MB)", first.value.name, metric.higher_is_better))


def _similarities(task: str, entries: Sequence[Entry[Compressed]]) -> Iterator[Figure]:
    """How little each layer, attention or block changes what it gets, by its place; of the rows that measured it."""
    lines = []
    rows = []
    for entry in entries:
        for link in entry.value.links:
            points = link.points("similarity")
            if len(points) > 1 and len(lines) < MAX_LINES:
                lines.append((entry.name, points))
                rows.append((entry.title, " ".join(formatting.number(value) for _, value in points)))
    if lines:
        title = f"{task}: similarity by block"
        words = Words(("row", "similarity, block by block"), tuple(rows))
        yield Figure(title, plots.curves(lines, title, "similarity by block"), words=words)


PANEL = CompressionPanel()
