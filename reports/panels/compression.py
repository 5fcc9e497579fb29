"""Compressed models: what each link took away, bytes and work that are left, similarity by layer, loss against bytes.

It reads what methods note (`reports/compression/notes.py`), the costs of a record and its main metric. What the saved
model takes in a fresh process stands in the panel of deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..compression.notes import KEY, Link, from_details
from ..figures import Figure, Words, plots
from ..figures.plots import MAX_MARKS, Mark
from ..records.record import Costs, Metric, Record
from ..tables import formatting
from .panel import Content, Entry, Panel, by_link

SEARCH = "search"
"""The entry of `Record.details` in which a search notes its passes."""
MAX_TASKS = 3
"""Tasks that are drawn against bytes."""
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


class CompressionPanel(Panel[Compressed]):
    """All rows in words and by their bytes, against quality where more than one was scored; similarities by block."""

    key = KEY

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

    def show(self, entries: Sequence[Entry[Compressed]]) -> Content | None:
        """By task: what was taken away and what is left; then quality against bytes, and similarities."""
        tasks: dict[str, list[Entry[Compressed]]] = {}
        for entry in entries:
            tasks.setdefault(entry.task, []).append(entry)
        if not tasks:
            return None
        figures: list[Figure] = []
        for task, found in list(tasks.items())[:MAX_TASKS]:
            figures += [_overview(task, found), *_against_bytes(task, found)]
        figures += _similarities(next(iter(tasks.values())))
        return Content("Compression", tuple(figures), legend=LEGEND + _more(tasks))


def _more(tasks: dict[str, list[Entry[Compressed]]]) -> str:
    text = ""
    if len(tasks) > MAX_TASKS:
        text += f" {len(tasks) - MAX_TASKS} more tasks are in the records."
    rows = sum(max(0, len(found) - MAX_MARKS) for found in list(tasks.values())[:MAX_TASKS])
    if rows:
        text += f" {rows} more rows are in the records."
    return text


def _overview(task: str, entries: Sequence[Entry[Compressed]]) -> Figure:
    shown = entries[:MAX_MARKS]
    marks = [Mark(entry.number, entry.name, 100 * _share_left(entry.value)) for entry in shown]
    title = f"{task}: stored bytes that are left"
    titles = ("row", "taken away", "stored", "active", "FLOPs", "decided in", "quality")
    rows = tuple(_row(entry) for entry in shown)
    return Figure(title, plots.bars(marks, title, "% of the model before"), words=Words(titles, rows))


def _row(entry: Entry[Compressed]) -> tuple[str, ...]:
    found = entry.value
    quality = "–"
    if found.metric is not None:
        quality = f"{found.name} {formatting.number(found.metric.value, found.metric.unit)}"
    costs = found.costs
    flops = active = None
    if costs is not None:
        flops = costs.flops
        active = costs.params_active
    return (
        f"{entry.number}  {entry.name}",
        "; ".join(_taken(link, len(found.links)) for link in found.links),
        formatting.size(_bytes_left(found)),
        formatting.count(active),
        formatting.count(flops),
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


def _share_left(found: Compressed) -> float:
    first = found.links[0].bytes[0]
    return _bytes_left(found) / first if first else 1.0


def _taken(link: Link, links: int) -> str:
    """As "2. 8 of 32 experts (3 unseen)"."""
    parts = [*_experts(link), *_widths(link), *_depth(link), *_rounded(link), *_zeros(link)]
    text = ", ".join(parts) or "nothing"
    return f"{link.number}. {text}" if links > 1 else text


def _experts(link: Link) -> list[str]:
    before = sum(link.values("experts_before"))
    gone = before - sum(link.values("experts"))
    if not gone:
        return []
    unseen = len(link.values("unseen_experts"))
    text = f"{gone:.0f} of {before:.0f} experts ({_spread(link.values('experts'))} left by layer"
    if unseen:
        text += f", {unseen} unseen"
    return [f"{text})"]


def _widths(link: Link) -> list[str]:
    widths = [width for width in link.values("width") if width]
    if not widths:
        return []
    return [f"experts {_spread(widths)} wide"]


def _depth(link: Link) -> list[str]:
    gone = [f"{block:.0f}" for block, dropped in link.points("dropped") if dropped]
    if not gone:
        return []
    return [f"layers or blocks {' '.join(gone)}"]


def _rounded(link: Link) -> list[str]:
    bits = link.values("bits")
    if not bits:
        return []
    text = f"{_spread(bits)} bits"
    groups = sorted(set(link.values("group_size")))
    if groups:
        text += f" in groups of {' '.join('a row' if size == 0 else f'{size:.0f}' for size in groups)}"
    errors = link.values("error")
    if errors:
        text += f", error {100 * fmean(errors):.2f} %"
    few = len(link.values("to_nearest"))
    if few:
        text += f", {few} to nearest for want of tokens"
    return [text]


def _zeros(link: Link) -> list[str]:
    zeros = link.zeros()
    if not zeros:
        return []
    text = f"{100 * fmean(zeros):.1f} % zeros in {len(zeros)} matrices"
    few = len(link.values("by_magnitude"))
    if few:
        text += f", {few} by magnitude for want of tokens"
    return [text]


def _spread(values: Sequence[float]) -> str:
    low = min(values)
    high = max(values)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def _against_bytes(task: str, entries: Sequence[Entry[Compressed]]) -> list[Figure]:
    """The main metric against the bytes that are left, where two rows or more have it."""
    scored = [entry for entry in entries if entry.value.metric is not None]
    if len(scored) < 2:
        return []
    marks: list[Mark] = []
    for entry in scored[:MAX_MARKS]:
        metric = entry.value.metric
        assert metric is not None
        marks.append(Mark(entry.number, entry.name, metric.value, cost=_bytes_left(entry.value) / 1e6))
    first = scored[0].value
    assert first.metric is not None
    title = f"{task}: {first.name} against stored bytes"
    spec = plots.tradeoff(marks, title, "stored (MB)", first.name, first.metric.higher_is_better)
    return [Figure(title, spec)]


def _similarities(entries: Sequence[Entry[Compressed]]) -> list[Figure]:
    """How little each layer, attention or block changes what it gets, by its place; of the rows that measured it."""
    lines = []
    rows = []
    for entry in entries:
        for link in entry.value.links:
            points = link.points("similarity")
            if len(points) > 1 and len(lines) < MAX_LINES:
                lines.append((Mark(entry.number, entry.name, 0.0), points))
                values = " ".join(formatting.number(value) for _, value in points)
                rows.append((f"{entry.number}  {entry.name}", values))
    if not lines:
        return []
    title = "Similarity by block"
    words = Words(("row", "similarity, block by block"), tuple(rows))
    return [Figure(title, plots.curves(lines, title, "similarity by block"), words=words)]


PANEL = CompressionPanel()
