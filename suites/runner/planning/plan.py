"""From a profile to cells, and what the result folder already holds of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.reports.records.index.database import Entry

from ..errors import UsageError
from ..identity.cell import Cell, forget_weights, further_backbones
from ..identity.weights import fetch_from_hub
from .plan_cache import remembered
from .profile import Profile, backbones

State = Literal["done", "missing", "stale", "failed", "n/a"]
Reuse = Literal["missing", "always", "never", "only"]


def expand(profile: Profile) -> list[Cell]:
    """All cells of a profile, those of one row, backbone and seed side by side. Raises `UsageError`."""
    return remembered(profile, _expand)


def _expand(profile: Profile) -> Iterator[Cell]:
    from .expansion import cells_of

    seen: dict[str, Cell] = {}
    for cell in cells_of(profile):
        other = seen.setdefault(cell.id, cell)
        if other is not cell:  # labels are no part of a cell: one record would stand for both rows, run twice
            rows = f"the rows {other.info.label!r} and {cell.info.label!r}"
            raise UsageError(f"suite {cell.info.suite!r}: {rows} are the same but for their labels: leave one out")
        yield cell


def expand_fetched(profile: Profile) -> list[Cell]:
    """All cells, with every backbone that a hub has fetched first. Raises `UsageError` and `DataError`.

    Which teachers there are is only known from the cells: where one comes, the cells are made again with its commit.
    """
    fetch_from_hub(backbones(profile))
    cells = expand(profile)
    if fetch_from_hub(further_backbones(cells)):
        forget_weights()
        cells = expand(profile)
    return cells


@dataclass(frozen=True)
class Planned:
    """A cell and its state in the result folder."""

    cell: Cell
    state: State


def compare(cells: Iterable[Cell], entries: Sequence[Entry]) -> list[Planned]:
    """The state of each cell: `stale` if only other code ever ran it, `failed` if it ended without a score."""
    status = {entry.id: entry.status for entry in entries}
    keys = {entry.key for entry in entries}
    return [Planned(cell, _state(cell, status, keys)) for cell in cells]


def _state(cell: Cell, status: Mapping[str, str], keys: set[str]) -> State:
    if cell.reason:
        return "n/a"
    if cell.id in status:
        return {"ok": "done", "n/a": "n/a"}.get(status[cell.id], "failed")  # type: ignore[return-value]
    return "stale" if cell.key in keys else "missing"


def to_run(planned: Iterable[Planned], reuse: Reuse) -> list[Cell]:
    """The cells to run: without a score from this very code (missing), without any record (always), all, or none."""
    states = {
        "missing": ("missing", "stale", "failed"),
        "always": ("missing",),
        "never": ("missing", "stale", "failed", "done"),
        "only": (),
    }[reuse]
    return [entry.cell for entry in planned if entry.state in states]


def count_states(planned: Iterable[Planned]) -> dict[State, int]:
    """How many cells are in each state."""
    return dict(Counter(entry.state for entry in planned))
