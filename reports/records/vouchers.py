"""What running cells again has shown of a result folder's records: the lines of `vouchers.jsonl`.

{"survey": {...}}   what there was to vouch for at a commit: code paths, and the records that cannot be run
{"voucher": {...}}  what one cell gave now, against its record

Lines are only added, and no record is ever changed. The last survey and the vouchers after it say what holds now: when
the code behind any record or the records themselves change, there is another survey, and draws at random begin again.
A code path is a pair of code hashes: that of a record, and that of the same cell at the surveyed commit. What a voucher
says of its path holds for as long as both are the same.
"""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .store import StoreError, explain_os_error

FILE = "vouchers.jsonl"
Outcome = Literal["equal", "rounding", "undecided", "outside", "not run"]
WORST_FIRST: tuple[Outcome, ...] = ("outside", "undecided", "rounding", "equal")
Drawn = Literal["path", "random"]
CodePath = tuple[str, str]
PathState = Literal["covered", "outside", "undecided", "open"]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What there is to vouch for at a commit.

    Attributes:
        commit: of the code that cells are run with.
        paths: code of a record, code of its cell now, and how many records have both.
        excluded: by reason, how many records are not vouched for.
    """

    commit: str
    paths: Sequence[tuple[str, str, int]]
    excluded: Mapping[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many records there are to draw from."""
        return sum(count for _, _, count in self.paths)

    def is_of(self, other: "Survey") -> bool:
        """Whether there is the same to vouch for, at whatever commit."""
        return self.paths == other.paths and self.excluded == other.excluded


@dataclass(frozen=True, kw_only=True)
class Voucher:
    """What a cell gave when it was run again.

    Attributes:
        id: of the record.
        drawn: as the one cell of its path, or at random.
        code, code_now: the hash of the code that made the record, and of the code that ran now.
        commit, processor_type, libraries: where it was run (a tree without changes); libraries that differ from the
            record's.
        metrics: outcome by name; `numbers` has then and now of those that are not equal.
        other_errors: whether a score has another standard error now.
        outcome: the worst of them; "not run" with a `reason` is no outcome, but said.
        seconds: inside the cell.
    """

    id: str
    drawn: Drawn
    code: str
    code_now: str
    commit: str
    processor_type: str
    libraries: Sequence[str]
    metrics: Mapping[str, Outcome]
    numbers: Mapping[str, Sequence[float | None]]
    other_errors: bool
    outcome: Outcome
    reason: str
    seconds: float

    @property
    def path(self) -> CodePath:
        """The code path that it speaks for."""
        return self.code, self.code_now


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the vouchers of a folder say at the commit of the last of them.

    Attributes:
        states: of each code path of the last survey.
        again: outcomes of the cells that were run again of these paths, each record once.
        draws: outcomes of the records drawn at random since the last survey.
        outside: the codes of records on a path that does not hold.
        other_errors: of how many of `again` a score has another standard error now.
    """

    commit: str
    records: int
    excluded: Mapping[str, int]
    states: Counter[PathState]
    again: Counter[Outcome]
    draws: Counter[Outcome]
    outside: frozenset[str]
    other_errors: int

    @property
    def paths(self) -> int:
        """How many code paths there are."""
        return self.states.total()


class Vouchers:
    """The vouchers of a result folder as they were when this was made.

    Raises:
        StoreError: the file cannot be read, or a line of it is none of these.
    """

    def __init__(self, folder: Path) -> None:
        self.survey: Survey | None = None
        self.all: list[Voucher] = []
        self._outcomes: dict[CodePath, dict[str, Outcome]] = {}
        self.since_survey: list[Voucher] = []
        self.commit = ""
        for line in _lines(folder / FILE):
            self._take(line)

    def _take(self, line: Survey | Voucher) -> None:
        self.commit = line.commit
        if isinstance(line, Survey):
            self.survey = line
            self.since_survey = []
            return
        self.all.append(line)
        self.since_survey.append(line)
        if line.outcome != "not run":
            known = self._outcomes.setdefault(line.path, {})
            if known.get(line.id, "undecided") == "undecided" or line.outcome == "outside":
                known[line.id] = line.outcome

    def outcomes(self, path: CodePath) -> dict[str, Outcome]:
        """What is known of each record on a path that was run again: outside stays, undecided is settled by others."""
        return self._outcomes.get(path, {})

    def state(self, path: CodePath) -> PathState:
        """Covered by a record that holds and by none that does not; a path whose code is the same is, too."""
        outcomes = self.outcomes(path).values()
        if "outside" in outcomes:
            return "outside"
        if "undecided" in outcomes:
            return "undecided"
        return "covered" if outcomes or path[0] == path[1] else "open"

    def covered(self) -> set[CodePath]:
        """The code paths that hold, of this commit and of all others."""
        return {path for path in self._outcomes if self.state(path) == "covered"}

    def draws(self) -> dict[str, Outcome]:
        """The records drawn at random since the last survey, in order; what could not run is not drawn again."""
        return {voucher.id: voucher.outcome for voucher in self.since_survey if voucher.drawn == "random"}

    def standing(self) -> Standing | None:
        """What holds; None where nobody looked."""
        if self.survey is None:
            return None
        paths = [(then, now) for then, now, _ in self.survey.paths]
        states: dict[CodePath, PathState] = {path: self.state(path) for path in paths}
        again: Counter[Outcome] = Counter()
        for path in paths:
            again.update(self.outcomes(path).values())
        other_errors = {one.id for one in self.all if one.path in states and one.other_errors}
        return Standing(
            commit=self.commit,
            records=self.survey.records,
            excluded=self.survey.excluded,
            states=Counter(states.values()),
            again=again,
            draws=Counter(self.draws().values()),
            outside=frozenset(then for (then, _), state in states.items() if state == "outside"),
            other_errors=len(other_errors),
        )


def append(folder: Path, line: Survey | Voucher) -> None:
    """Add a line, which is on the disk when this returns. Raises `StoreError`."""
    text = json.dumps({type(line).__name__.lower(): dataclasses.asdict(line)}, sort_keys=True) + "\n"
    try:
        with (folder / FILE).open("ab", buffering=0) as file:
            file.write(text.encode())
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(explain_os_error(folder, error)) from error


def _lines(path: Path) -> Iterator[Survey | Voucher]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            yield _line(json.loads(line))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise StoreError(f"{path}, line {number} is no voucher ({error}): take it out") from error


def _line(content: dict[str, Any]) -> Survey | Voucher:
    [(kind, fields)] = content.items()
    if kind == "voucher":
        return Voucher(**fields)
    if kind != "survey":
        raise ValueError(f"unknown kind {kind!r}")
    paths = [(then, now, count) for then, now, count in fields.pop("paths")]
    return Survey(**fields, paths=paths)
