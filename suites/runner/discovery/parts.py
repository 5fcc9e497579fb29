"""The methods, the task and the backbones of a cell, found by the names in its description."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sparsebench.reports.records.record import CellInfo, Link

from .entry import PARTS, Entry
from .registry import entries, find


class Parts(NamedTuple):
    """What a cell is made of."""

    methods: tuple[Entry, ...]
    """In the order of the chain."""
    task: Entry
    backbones: tuple[tuple[Entry, str], ...]
    """The cell's own and the further ones, each with the name that it has there (`name:argument`)."""
    brought: tuple[Entry, ...] = ()
    """Routers, splits and criteria of other packages that the options of the methods name."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that the code hash covers."""
        return *self.methods, self.task, *(entry for entry, _ in self.backbones), *self.brought

    @property
    def sources(self) -> tuple[str, ...]:
        """The data sources that a cell of these reads."""
        found: set[str] = set()
        for entry in self.entries:
            found |= set(entry.sources)
        return tuple(sorted(found))


def parts_of(info: CellInfo) -> Parts:
    """What a cell of this description is made of. Raises `UsageError` for an unknown name."""
    methods = tuple(find("method", link.method) for link in info.links)
    task = find("task", info.task, info.suite)
    names = (info.backbone, *info.further_backbones)
    backbones = tuple((find("backbone", name, info.suite), name) for name in names)
    return Parts(methods, task, backbones, tuple(_brought(info.links)))


def _brought(links: Iterable[Link]) -> Iterator[Entry]:
    """Parts of other packages that are called as some option says: whether it means them, only its method knows."""
    texts = {value for link in links for value in link.config.values() if isinstance(value, str)}
    for kind in PARTS:
        yield from (entry for name, entry in entries(kind).items() if entry.companions and name in texts)
