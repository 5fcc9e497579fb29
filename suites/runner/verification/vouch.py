"""`sparsebench vouch`: whether today's code still gives what the records of result folders say.

First one cell of each code path that is not covered: the cheapest of those that were made on this type of processor, if
there are such, since another type may leave it undecided. Then cells drawn at random without replacement,
each folder in turn, until the time is up. Each voucher is on the disk as soon as its cell has ended, so that a run that
is killed keeps what it had; the next one goes on from there.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from rich.console import Console

from sparsebench.reports.records.record import RecordError
from sparsebench.reports.records.vouchers import CodePath, Drawn, Outcome, Voucher, Vouchers, append

from ..errors import UsageError
from ..execution.environment import machine
from ..execution.executors.interface import Options
from .differences import library_changes
from .folders import rank
from .judgement import lacks_data
from .lookup import Named, opened
from .survey import Candidate, survey
from .verify import Again, run_again
from .vouch_outcome import Found, compare

ROUND_SECONDS = 300.0
"""Core seconds for each worker between two looks at what the draws have shown."""


class Time:
    """Core seconds by the durations that records name. A cell may begin while some are left.

    Args:
        seconds: None for as many as it takes.
    """

    def __init__(self, seconds: float | None) -> None:
        self.left = float("inf") if seconds is None else seconds

    def take(self, candidates: Iterable[Candidate], most: float = float("inf")) -> Iterator[Candidate]:
        """The first of the candidates that there is time for, within `most` seconds of it."""
        for candidate in candidates:
            if self.left <= 0 or most <= 0:
                return
            self.left -= candidate.core_seconds
            most -= candidate.core_seconds
            yield candidate


@dataclass(frozen=True)
class Place:
    """The clean tree and the machine that cells are run with."""

    commit: str
    processor_type: str


def here() -> Place:
    """Raises `UsageError` where the tree has changes that no commit holds, or there is no commit at all."""
    found = machine()
    if not found["commit"]:
        raise UsageError("a voucher names the commit that it holds at: vouch in a clone, where git is installed")
    if found["dirty"] is not False:
        raise UsageError(
            f"the tree has changes that no commit holds ({found['commit'][:8]} and more): commit or stash them first"
        )
    return Place(found["commit"], found["processor_type"])


class Folder:
    """A result folder, and what there is to vouch for in it; writes a survey where the last one is of something else.

    Raises `StoreError` and `UsageError`.
    """

    def __init__(self, path: Path, place: Place) -> None:
        self.path = path
        self.place = place
        found, self.candidates = survey(path, place.commit)
        known = Vouchers(path).survey
        if known is None or not known.is_of(found):
            append(path, found)

    def for_paths(self) -> Iterator[Candidate]:
        """The cheapest cell of each open path, of this type of processor if it has such; and what it alone decides."""
        vouchers = Vouchers(self.path)
        failed = {one.id for one in vouchers.since_survey if one.outcome == "not run"}
        by_path: dict[CodePath, list[Candidate]] = {}
        for candidate in self.candidates:
            by_path.setdefault(candidate.path, []).append(candidate)
        for path, members in by_path.items():
            state = vouchers.state(path)
            if state == "undecided":
                members = self._decidable(members, vouchers.outcomes(path))
            if state in ("open", "undecided") and members:
                yield min(
                    members, key=lambda one: (one.record.id in failed, not self._made_here(one), one.core_seconds)
                )

    def _decidable(self, members: Sequence[Candidate], outcomes: Mapping[str, Outcome]) -> list[Candidate]:
        """Those that are undecided, and were made on this type of processor."""
        undecided = [one for one in members if outcomes.get(one.record.id) == "undecided"]
        return [one for one in undecided if self._made_here(one)]

    def _made_here(self, candidate: Candidate) -> bool:
        """Whether this type of processor made the record."""
        return candidate.record.environment.get("processor_type") == self.place.processor_type

    def draws(self) -> Iterator[Candidate]:
        """Those to draw next; none where a path does not hold.

        The order hangs on the name of the folder and the commit, which nobody can choose.
        """
        vouchers = Vouchers(self.path)
        standing = vouchers.standing()
        if standing is None or standing.outside:
            return
        seed = hashlib.sha256(f"{self.path.resolve().name} {self.place.commit}".encode()).hexdigest()
        drawn = vouchers.draws()
        for candidate in sorted(self.candidates, key=lambda one: rank(seed, one.record.id)):
            if candidate.record.id not in drawn:
                yield candidate


def vouch(
    paths: Sequence[Path], place: Place, options: Options, console: Console, minutes: float | None = None
) -> None:
    """Vouch for the records of result folders.

    Args:
        paths: the folders.
        place: what they are vouched for with.
        options: how many workers.
        console: gets the progress, and a line for each cell.
        minutes: core time by the durations that records name; None for one cell of each path and no draws.

    Raises:
        StoreError: a folder cannot be read or written.
        ExecutorError: no cell can run here.
    """
    folders = [Folder(path, place) for path in paths]
    time = Time(None if minutes is None else 60 * minutes)
    cheapest = sorted(chain.from_iterable(folder.for_paths() for folder in folders), key=lambda one: one.core_seconds)
    _run(list(time.take(cheapest)), "path", place, options, console)
    while minutes is not None:
        drawn = list(time.take(_in_turn(folders), ROUND_SECONDS * options.workers))
        if not drawn:
            break
        _run(drawn, "random", place, options, console)


def _in_turn(folders: Sequence[Folder]) -> Iterator[Candidate]:
    """One draw of each folder, then the next of each."""
    for drawn in zip_longest(*(folder.draws() for folder in folders)):
        yield from filter(None, drawn)


def _run(chosen: Sequence[Candidate], drawn: Drawn, place: Place, options: Options, console: Console) -> None:
    """Run cells and write a voucher for each as soon as it has ended. Two folders may hold records of one cell."""
    by_cell: dict[str, list[Candidate]] = {}
    for candidate in chosen:
        by_cell.setdefault(candidate.cell.id, []).append(candidate)

    def take(id: str, again: Again) -> None:
        for candidate in by_cell[id]:
            voucher = _voucher(candidate, again, drawn, place)
            append(candidate.folder, voucher)
            console.print(_line(voucher, candidate), highlight=False, markup=False, soft_wrap=True)

    run_again([(members[0].record, members[0].cell) for members in by_cell.values()], options, console, take)


def _voucher(candidate: Candidate, again: Again, drawn: Drawn, place: Place) -> Voucher:
    record = candidate.record
    libraries = list(library_changes(record))
    found = _found(candidate, again, bool(libraries))
    return Voucher(
        id=record.id,
        drawn=drawn,
        code=record.code,
        code_now=candidate.cell.code,
        commit=place.commit,
        processor_type=place.processor_type,
        libraries=libraries,
        metrics=found.metrics,
        numbers=found.numbers,
        other_errors=found.other_errors,
        outcome=found.worst,
        reason=found.reason,
        seconds=again.record.times.get("total", 0.0),
    )


def _found(candidate: Candidate, again: Again, libraries: bool) -> Found:
    if lacks_data(again.record):
        return Found("not run", f"no data: {again.record.reason}")
    try:
        examples = opened(candidate.folder).read_examples(candidate.record.id)
    except RecordError as error:  # its examples are broken: nobody knows what it was
        return Found("not run", str(error))
    return compare(candidate.record, again.record, examples, again.examples, libraries)


def _line(voucher: Voucher, candidate: Candidate) -> str:
    """ "outside  path: <title>: accuracy 0.5 then, 0.25 now"."""
    numbers = "; ".join(f"{name} {then!r} then, {now!r} now" for name, (then, now) in voucher.numbers.items())
    parts = [f"{voucher.outcome:<9} {voucher.drawn}", Named(candidate.record).title, voucher.reason, numbers]
    return ": ".join(filter(None, parts))
