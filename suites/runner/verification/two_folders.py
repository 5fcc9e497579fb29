"""What two result folders say of the same cells: which are in both, and how far apart their scores are.

exact     all bits of all scores.
printed   every score is the same as it is printed.
within    a score is another one, within the 95 % interval of the paired differences of its examples, or, where these
          are not kept, within that of one more seed of its row.
beyond    a score lies outside of that interval, nothing states one, or one folder alone has it.
status    one of the two has no score, or neither has one, by unlike statuses.
no score  neither has one, by the same status.
other     row, task, backbone and seed have the same names, but the cells are not the same: other options, budget,
          versions, data or weights. Both scores are shown, and not judged.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Record, RecordError
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.formatting import number

from ..errors import UsageError
from ..planning.plan_file import planned_records
from .judgement import Evidence, ScoreCheck, judge
from .own_examples import Columns

OfScore = Literal["exact", "printed", "within", "beyond", "other"]
Agreement = Literal[OfScore, "status", "no score"]
WORST_FIRST: tuple[OfScore, ...] = ("beyond", "within", "printed", "exact")
"""Of several scores."""
RowNames = tuple[str, str, str, str, tuple[str, ...]]
Names = tuple[*RowNames, int]


class ScorePair(NamedTuple):
    """One score in both folders."""

    outcome: OfScore
    check: ScoreCheck


@dataclass(frozen=True)
class Pair:
    """A cell that is in both folders, by its key or, where the outcome is "other", by its names.

    Attributes:
        first, second: its records.
        outcome: the worst of its scores, unless it has none.
        scores: each with its own outcome, the main one first.
        reason: what is not a score: the statuses, outcomes of examples, what is not the same of an "other" cell.
    """

    first: Record
    second: Record
    outcome: Agreement
    scores: tuple[ScorePair, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class TwoFolders:
    """The cells of two folders: those in both, and those in one. `problems`: files that could not be read."""

    folders: tuple[Path, Path]
    pairs: Sequence[Pair]
    only_first: Sequence[Record]
    only_second: Sequence[Record]
    problems: Sequence[str]

    @property
    def counts(self) -> Counter[Agreement]:
        """How many cells of both folders have which outcome."""
        return Counter(pair.outcome for pair in self.pairs)


class _Side:
    """The records of one folder, as its latest plan names them, and their examples."""

    def __init__(self, folder: Path, suites: Collection[str]) -> None:
        self.store = Store(folder).open()
        with Index(self.store) as index:
            found = index.records(planned_records(index.entries, folder))
            self.records = [record for record in found if record.cell.suite in suites]
            self.problems = [f"skipped {problem.path}: {problem.reason}" for problem in index.problems]
        if not self.records:
            raise UsageError(f"{folder} holds no readable record of {', '.join(suites)}")
        self.by_key = {record.key: record for record in self.records}
        self._by_row: dict[RowNames, list[Record]] = defaultdict(list)
        for record in self.records:
            self._by_row[row_names(record)].append(record)

    def examples(self, record: Record) -> Columns | None:
        """Outcomes by example; a file that cannot be read is a problem."""
        try:
            return self.store.read_examples(record.id)
        except RecordError as error:
            self.problems.append(f"compared without its examples: {error}")
            return None

    def other_seeds(self, record: Record) -> list[Record]:
        """Records of the same row and task."""
        return [other for other in self._by_row[row_names(record)] if other.id != record.id]


def compare_folders(first: Path, second: Path, suites: Collection[str]) -> TwoFolders:
    """Compare the cells of two folders that the latest plan of each names.

    Args:
        first: a result folder.
        second: another one.
        suites: the names of those that count.

    Returns:
        What they say.

    Raises:
        StoreError: one of them holds no results.
        UsageError: both are one folder, or one has no record of these suites.
    """
    if first.resolve() == second.resolve():
        raise UsageError(f"{first} and {second} are one folder")
    sides = _Side(first, suites), _Side(second, suites)
    pairs = [_judged(record, sides[1].by_key[record.key], *sides) for record in _shared(*sides)]
    here = {record.id: record for record in sides[0].records if record.key not in sides[1].by_key}
    there = {record.id: record for record in sides[1].records if record.key not in sides[0].by_key}
    others = list(_others(list(here.values()), list(there.values())))
    for pair in others:
        del here[pair.first.id], there[pair.second.id]
    problems = [problem for side in sides for problem in side.problems]
    return TwoFolders((first, second), [*pairs, *others], list(here.values()), list(there.values()), problems)


def names(record: Record) -> Names:
    """Suite, task, row, backbones and seed: what a reader calls a cell."""
    return *row_names(record), record.cell.seed


def row_names(record: Record) -> RowNames:
    """The same of its row: without the seed."""
    cell = record.cell
    return cell.suite, cell.task, cell.label, cell.backbone, tuple(cell.further_backbones)


def _shared(first: _Side, second: _Side) -> Iterator[Record]:
    return (record for record in first.records if record.key in second.by_key)


def _judged(first: Record, second: Record, here: _Side, there: _Side) -> Pair:
    evidence = Evidence(then=here.examples(first), now=there.examples(second), others=here.other_seeds(first))
    found = judge(first, second, evidence)
    if not found.scores:
        same = first.status == second.status
        return Pair(first, second, "no score" if same else "status", reason=_statuses(first, second))
    scores = tuple(ScorePair(_of_score(score, first), score) for score in found.scores)
    outcomes = {score.outcome for score in scores}
    return Pair(first, second, next(one for one in WORST_FIRST if one in outcomes), scores, found.reason)


def _of_score(score: ScoreCheck, record: Record) -> OfScore:
    if score.verdict == "equal":
        return "exact"
    if score.then is not None and score.now is not None:
        unit = record.metrics[score.name].unit
        if number(score.then, unit) == number(score.now, unit):
            return "printed"
    return "within" if score.verdict == "within" else "beyond"


def _statuses(*records: Record) -> str:
    """Each once: "ok", "failed: KeyError: 'x'"."""
    said = [f"{record.status}: {record.reason}" if record.reason else record.status for record in records]
    return " | ".join(dict.fromkeys(said))


def _others(first: Sequence[Record], second: Sequence[Record]) -> Iterator[Pair]:
    """Cells of the same names, where each folder has one of them."""
    here, there = _unique(first), _unique(second)
    for name, record in here.items():
        if name in there:
            scores = tuple(ScorePair("other", score) for score in judge(record, there[name], Evidence()).scores)
            yield Pair(record, there[name], "other", scores, _what_differs(record, there[name]))


def _unique(records: Sequence[Record]) -> Mapping[Names, Record]:
    counts = Counter(map(names, records))
    return {names(record): record for record in records if counts[names(record)] == 1}


def _what_differs(first: Record, second: Record) -> str:
    """The fields of the description that differ; where none does, it is what they were computed from."""
    then, now = asdict(first.cell), asdict(second.cell)
    fields = [name.replace("_", " ") for name in then if then[name] != now[name]]
    return f"other {', '.join(fields) or 'data or weights'}"
