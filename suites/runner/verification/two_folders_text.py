"""What `compare FOLDER OTHER` prints, as text and for programs."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal, TypedDict

from sparsebench.reports.records.record import Record, Status
from sparsebench.reports.tables.formatting import counted, number, points, scale

from .judgement import ScoreCheck
from .two_folders import Agreement, OfScore, Pair, TwoFolders, names, row_names


class CellOfTwoDocument(TypedDict):
    """A cell as one of two folders has it. `id` names its record, `key` what it is whatever code ran it."""

    id: str
    key: str
    suite: str
    task: str
    label: str
    backbone: str
    further_backbones: list[str]
    seed: int
    status: Status


class ScorePairDocument(TypedDict):
    """A score in both folders, in its stored unit; None in the one that lacks it.

    `low` and `high` bound what `second` may be by chance; `basis` says what they rest on, or why there are none.
    """

    name: str
    outcome: OfScore
    first: float | None
    second: float | None
    low: float | None
    high: float | None
    basis: str


class PairDocument(TypedDict):
    """A cell that both folders have, with all its scores, the main one first (`runner/verification/two_folders.py`)."""

    first: CellOfTwoDocument
    second: CellOfTwoDocument
    outcome: Agreement
    reason: str
    scores: list[ScorePairDocument]


class CompareFoldersDocument(TypedDict):
    """`sparsebench compare FOLDER OTHER --json`. `counts`: how many cells of both folders have which outcome."""

    schema: Literal["sparsebench/compare-folders/1"]
    folders: list[str]
    counts: dict[str, int]
    pairs: list[PairDocument]
    only_first: list[CellOfTwoDocument]
    only_second: list[CellOfTwoDocument]
    problems: list[str]


COUNTED: dict[Agreement, str] = {
    "exact": "to the last digit",
    "printed": "as printed",
    "within": "within the interval",
    "beyond": "beyond it",
    "status": "with another status",
    "no score": "without a score in both",
    "other": "of the same names, but of other cells",
}
"""Each outcome behind the number of its cells."""
OTHER_SCORES = ("printed", "within", "beyond")
"""Outcomes of cells with other scores: those of their examples are other ones, too, then."""


def to_text(found: TwoFolders) -> str:
    """A line for each cell that is not equal, with its worst score; then what one folder alone has; then the counts."""
    lines = [_line(pair) for pair in found.pairs if _is_told(pair)]
    first, second = found.folders
    lines += [*_alone(f"only in {first}", found.only_first), *_alone(f"only in {second}", found.only_second)]
    lines += found.problems
    counts = found.counts
    said = [f"{counts[outcome]} {words}" for outcome, words in COUNTED.items() if counts[outcome]]
    total = f"In both folders: {counted(len(found.pairs), 'cell')}" + (f", {', '.join(said)}" if said else "")
    lines.append(f"{total}. Only in {first}: {len(found.only_first)}. Only in {second}: {len(found.only_second)}.")
    return "\n".join(lines)


def to_document(found: TwoFolders) -> CompareFoldersDocument:
    """The same for programs, equal cells and all scores included."""
    return {
        "schema": "sparsebench/compare-folders/1",
        "folders": [str(folder) for folder in found.folders],
        "counts": {outcome: found.counts[outcome] for outcome in COUNTED},
        "pairs": [_pair(pair) for pair in found.pairs],
        "only_first": [_cell(record) for record in found.only_first],
        "only_second": [_cell(record) for record in found.only_second],
        "problems": list(found.problems),
    }


def _is_told(pair: Pair) -> bool:
    """Nothing is to be said of others but how many there are."""
    return pair.outcome not in ("exact", "no score") or (pair.outcome == "exact" and pair.reason != "")


def _line(pair: Pair) -> str:
    line = f"{pair.outcome}: {_title(pair.first)}, {_seeds([pair.first])}"
    if pair.scores:
        line += f": {_score(_worst(pair), pair)}"
        more = sum(score.outcome != "exact" for score in pair.scores) - 1
        line += f"; {more} more {'score differs' if more == 1 else 'scores differ'}" if more > 0 else ""
    is_news = pair.reason and pair.outcome not in OTHER_SCORES
    return f"{line}; {pair.reason}" if is_news else line


def _worst(pair: Pair) -> ScoreCheck:
    """The first, main score before others, of those with the outcome of the cell."""
    return next(score.check for score in pair.scores if score.outcome == pair.outcome)


def _score(score: ScoreCheck, pair: Pair) -> str:
    """rmse 2.500 and 2.700, +0.2 kcal/mol, beyond [2.400, 2.600] (95 % over ...)."""
    if score.then is None or score.now is None:
        return f"{score.name} is not in both"
    unit = pair.first.metrics[score.name].unit
    apart = f"{(score.now - score.then) * scale(unit):+.3g} {points(unit)}".rstrip()
    text = f"{score.name} {number(score.then, unit)} and {number(score.now, unit)}, {apart}"
    if pair.outcome not in ("within", "beyond"):
        return text
    if score.low is not None and score.high is not None:
        text += f", {pair.outcome} [{number(score.low, unit)}, {number(score.high, unit)}]"
    return f"{text} ({score.basis})" if score.basis else text


def _alone(where: str, records: Iterable[Record]) -> Iterator[str]:
    """A line for each row, with its seeds."""
    for _, some in groupby(sorted(records, key=names), key=row_names):
        found = list(some)
        yield f"{where}: {_title(found[0])}, {_seeds(found)}"


def _seeds(records: Sequence[Record]) -> str:
    said = ", ".join(str(record.cell.seed) for record in records)
    return f"seed{'s' if len(records) > 1 else ''} {said}"


def _title(record: Record) -> str:
    suite, task, label, *backbones, further = row_names(record)
    return f"{suite} {task} {label} on {' with '.join([*backbones, *further])}"


def _cell(record: Record) -> CellOfTwoDocument:
    cell = record.cell
    return {
        "id": record.id,
        "key": record.key,
        "suite": cell.suite,
        "task": cell.task,
        "label": cell.label,
        "backbone": cell.backbone,
        "further_backbones": list(cell.further_backbones),
        "seed": cell.seed,
        "status": record.status,
    }


def _pair(pair: Pair) -> PairDocument:
    return {
        "first": _cell(pair.first),
        "second": _cell(pair.second),
        "outcome": pair.outcome,
        "reason": pair.reason,
        "scores": [_score_document(*score) for score in pair.scores],
    }


def _score_document(outcome: OfScore, score: ScoreCheck) -> ScorePairDocument:
    return {
        "name": score.name,
        "outcome": outcome,
        "first": score.then,
        "second": score.now,
        "low": score.low,
        "high": score.high,
        "basis": score.basis,
    }
