"""From a profile to cells, and what the result folder already holds of them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.reports.records.index.database import Entry

from ..errors import UsageError
from ..identity.cell import Cell, backbones_of, forget_weights
from ..identity.switches import check_switches
from ..identity.weights import fetch_from_hub
from .plan_cache import remembered
from .profile import Profile

State = Literal["done", "vouched", "missing", "stale", "failed", "n/a"]
Reuse = Literal["vouched", "exact", "always", "never", "only"]
ENDED: Mapping[str, State] = {"ok": "done", "n/a": "n/a"}


def expand(profile: Profile) -> list[Cell]:
    """All cells of a profile, those of one row, backbone and seed side by side. Raises `UsageError`."""
    return remembered(profile, _expand)


def _expand(profile: Profile) -> Iterator[Cell]:
    from .expansion import cells_of

    check_switches()
    seen: dict[str, Cell] = {}
    for cell in cells_of(profile):
        other = seen.setdefault(cell.id, cell)
        if other is not cell:  # labels are no part of a cell: one record would stand for both rows, run twice
            rows = f"the rows {other.info.label!r} and {cell.info.label!r}"
            raise UsageError(f"suite {cell.info.suite!r}: {rows} are the same but for their labels: leave one out")
        yield cell


def expand_fetched(profile: Profile) -> list[Cell]:
    """All cells, with every backbone that a hub has fetched. Raises `UsageError` and `DataError`.

    Which backbones there are (teachers) is known from the cells: where one comes, they are made again with its commit.
    """
    cells = expand(profile)
    if fetch_from_hub(backbones_of(cells)):
        forget_weights()
        cells = expand(profile)
    return cells


@dataclass(frozen=True)
class Planned:
    """A cell and its state in the result folder. `kept` is the id of the record of other code that stands for it."""

    cell: Cell
    state: State
    kept: str | None = None


def compare(
    cells: Iterable[Cell], entries: Sequence[Entry], covered: Collection[tuple[str, str]] = ()
) -> list[Planned]:
    """The state of each cell.

    `stale` if only other code ever ran it, `failed` if it ended without a score. `vouched` if other code has scored it
    and the path from that code to this one is among the `covered` (`sparsebench vouch`).
    """
    status = {entry.id: entry.status for entry in entries}
    by_key: dict[str, list[Entry]] = {}
    for entry in entries:
        by_key.setdefault(entry.key, []).append(entry)
    return [_planned(cell, status, by_key.get(cell.key, []), covered) for cell in cells]


def _planned(
    cell: Cell, status: Mapping[str, str], entries: Sequence[Entry], covered: Collection[tuple[str, str]]
) -> Planned:
    if cell.reason:
        return Planned(cell, "n/a")
    if cell.id in status:
        return Planned(cell, ENDED.get(status[cell.id], "failed"))
    vouched = [entry for entry in entries if entry.status == "ok" and (entry.code, cell.code) in covered]
    if vouched:
        return Planned(cell, "vouched", max(vouched, key=lambda entry: entry.finished).id)
    return Planned(cell, "stale" if entries else "missing")


def to_run(planned: Iterable[Planned], reuse: Reuse) -> list[Cell]:
    """The cells to run.

    Those without a score of this code or one that is vouched for (vouched), without a score of this very code (exact),
    without any record (always), all (never), or none (only).
    """
    states = {
        "vouched": ("missing", "stale", "failed"),
        "exact": ("missing", "stale", "failed", "vouched"),
        "always": ("missing",),
        "never": ("missing", "stale", "failed", "vouched", "done"),
        "only": (),
    }[reuse]
    return [entry.cell for entry in planned if entry.state in states]


def count_states(planned: Iterable[Planned]) -> dict[State, int]:
    """How many cells are in each state."""
    return dict(Counter(entry.state for entry in planned))
