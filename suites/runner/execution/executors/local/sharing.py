"""Which cells may share a process, and the proof that it changes no score.

With `--share-workers`, cells of a kind that took less than a second may follow one another in a process; the first cell
of a kind never does. One in a hundred of those that followed others, and at least one, is run again in a process of its
own, and the two must agree to the last digit. Where they do not, the cell fails, and no further cells share.
"""

import zlib
from typing import Any

from sparsebench.reports.records.store import Store

from ....identity.cell import Cell
from ...execute import End, end_of, failure, now
from ...isolation.preload import kind_of
from .workers import Attempt

QUICK_SECONDS = 1.0
ONE_IN = 100


class Sharing:
    """The cells of one executor. Without `wanted` each has a process of its own.

    Args:
        store: where workers write the records.
        wanted: whether cells may share processes at all.
    """

    def __init__(self, store: Store, wanted: bool) -> None:
        self._store = store
        self._wanted = wanted
        self._quick: set[tuple] = set()
        self._first: dict[str, Any] = {}
        """What cells scored in a shared process, by id, until they are run again; what they scored, once they were."""
        self._followers = 0

    def is_open_to(self, cell: Cell) -> bool:
        """Whether the cell may share a process."""
        return self._wanted and cell.id not in self._first and kind_of(cell.info) in self._quick

    def wants_again(self, attempt: Attempt, end: End) -> bool:
        """Whether the cell, which has a record now, is to be run once more, alone."""
        cell = attempt.cell
        if end.seconds < QUICK_SECONDS:
            self._quick.add(kind_of(cell.info))
        if not attempt.follows or end.status != "ok":
            return False
        self._followers += 1
        if self._followers > 1 and zlib.crc32(cell.id.encode()) % ONE_IN:
            return False
        self._first[cell.id] = self._scores(cell.id)
        return True

    def judged(self, cell: Cell, end: End) -> End:
        """How the cell ended; it failed if it was run again and scored something else."""
        if cell.id not in self._first:
            return end
        shared, alone = self._first.pop(cell.id), self._scores(cell.id)
        if shared == alone:
            return end
        self._wanted = False
        reason = (
            f"{_shown(shared)} in a process that it shared, {_shown(alone)} alone: the other {self._followers - 1} "
            "cells that shared one may be wrong, too; run again without --share-workers, with --reuse never"
        )
        return end_of(self._store.write(failure(cell, "failed", reason, started=now(), seconds=end.seconds)))

    def _scores(self, id: str) -> tuple[Any, ...]:
        record = self._store.read(id)
        metric = None if record.main_metric is None else record.metrics[record.main_metric].value
        return record.status, metric, record.metrics, self._store.read_examples(id)


def _shown(scores: tuple[Any, ...]) -> str:
    status, metric, *_ = scores
    return status if metric is None else repr(metric)
