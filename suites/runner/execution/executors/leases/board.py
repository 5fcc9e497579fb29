"""What the run's folder says of all cells: which have ended, which are taken, by whom, and whose owner is lost."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from .identity import Process
from .lease import AGAIN, ENDED, Lease, read_lease
from .membership import Membership
from .runs import RunOverError, names_in


@dataclass
class Board:
    """The state at the last look. Looking costs one listing of a folder, and a little for each cell that runs."""

    membership: Membership
    ended: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    """Cells that were lost once and are begun again."""
    newest: dict[str, int] = field(default_factory=dict)
    """Cell to the number of its newest lease."""
    _leases: dict[tuple[str, int], Lease | None] = field(default_factory=dict)

    def look(self) -> None:
        """Look again. Raises `RunOverError`."""
        try:
            names = names_in(self.membership.run.cells)
        except FileNotFoundError:
            raise RunOverError from None
        self.ended = _marked(names, ENDED)
        self.again = _marked(names, AGAIN)
        self.newest = {}
        for name in names:
            id_, _, number = name.rpartition(".")
            if number.isdigit() and not name.startswith("."):
                self.newest[id_] = max(int(number), self.newest.get(id_, 0))

    def taken(self, ids: Collection[str]) -> Iterator[tuple[Lease, Process | None]]:
        """The newest leases of these cells, each with its owner; None where the owner is lost or gave it back."""
        now = self.membership.now()
        owners: dict[str, Process | None] = {}
        known = {}
        for id_ in self.newest.keys() & ids:
            key = id_, self.newest[id_]
            lease = known[key] = self._leases.get(key) or read_lease(self.membership.run, *key)
            if lease is None:  # it is being cleared away
                continue
            if lease.owner not in owners:
                owners[lease.owner] = self.membership.living(lease.owner, now)
            yield lease, owners[lease.owner] if lease.is_held() else None
        self._leases = known


def _marked(names: Iterable[str], what: str) -> set[str]:
    return {name.removesuffix(what) for name in names if name.endswith(what)}
