"""Two sides compared, task by task and over all tasks: paired differences with interval, p and outcome."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ..records.example_files import ExampleReader
from ..records.html_table import html_table
from ..records.record import Record
from ..statistics import Difference, Outcome, difference, pair
from . import formatting
from .contents import other_content
from .matrix import Column, Matrix, Row, differences, matrices
from .suite_entries import Family
from .suite_table import SuiteInfo, row_name

ONE_SEED = "the seed changes a row, and one says nothing of the others: give --seeds 3 or more"
TITLES = ("suite", "task", "difference [95 %]", "over", "p", "pairs", "outcome")
"""Of the columns of comparisons."""
Margins = Mapping[str, Mapping[str, float]]
"""Suite to unit to the margin below which a difference counts as none."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One line of `compare`: side A minus side B, positive means that A is better; or why they cannot be compared.

    `note` is what the reader must know of the pair.
    """

    suite: str
    name: str
    unit: str
    difference: Difference | None = None
    reason: str | None = None
    note: str = ""

    @property
    def outcome(self) -> Outcome:
        """What the test says of A against B, or not comparable."""
        if self.difference is None:
            return "not comparable"
        return self.difference.outcome

    def texts(self) -> tuple[str, ...]:
        """What people read under `TITLES`: the interval and what it covers, p, the pairs with those that were lost."""
        words: str = self.outcome
        effect, covers, p, pairs = "–", "–", "–", "0"
        result = self.difference
        if result is not None:
            words = formatting.outcome(self.outcome, result.margin, self.unit)
            effect = formatting.effect(result.estimate, self.unit)
            covers = result.estimate.covers
            p = formatting.p_value(result.p)
            if result.p is not None:
                p += f" ({result.test})"
            pairs = f"{result.pairs}, {result.lost} lost" if result.lost else str(result.pairs)
        if self.reason:
            words += f": {self.reason}"
        return self.suite, self.name, effect, covers, p, pairs, words

    def __str__(self) -> str:
        """One line."""
        return " · ".join(filter(None, [*self.texts(), self.note]))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_table(TITLES, [self.texts()], self.note)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A row against the baseline over the tasks of one family; interval and p are corrected over the family's rows."""

    row: Row
    family: str
    unit: str
    difference: Difference
    seeds: int
    baseline: str
    """Label of the baseline, with its backbone where that is another one than the row's."""
    baseline_row: Row
    tasks: tuple[str, ...] = ()
    """Those that both rows have a score on, where these are not all of the family."""

    @property
    def alone(self) -> str:
        """ " on one and two alone"; empty where the difference is over all tasks."""
        return f" on {' and '.join(self.tasks)} alone" if self.tasks else ""


def compare(
    a: Sequence[Record],
    b: Sequence[Record],
    same_label: bool = False,
    examples: tuple[ExampleReader | None, ExampleReader | None] = (None, None),
    margins: Margins | None = None,
) -> list[Comparison]:
    """Side A against side B on every task that both have, by task × seed.

    Args:
        a: records of side A: those of one label, or a whole result folder.
        b: records of side B.
        same_label: compare each label with itself (two folders) rather than one label with another.
        examples: readers of the per-example outcomes of each side.
        margins: suite to unit to the margin below which a difference counts as none.
    """
    ours = _by_version(a, examples[0])
    theirs = _by_version(b, examples[1])
    lines = []
    for suite in sorted(ours.keys() | theirs.keys()):
        of_a = ours.get(suite, {})
        of_b = theirs.get(suite, {})
        shared = sorted(of_a.keys() & of_b.keys())
        if not shared:
            reason = f"suite version {', '.join(sorted(of_a))} against {', '.join(sorted(of_b))}"
            if not (of_a and of_b):
                reason = f"only side {'A' if of_a else 'B'} has it"
            lines.append(Comparison(suite=suite, name="all tasks", unit="", reason=reason))
        for version in shared:
            two = _Two(of_a[version], of_b[version], same_label, (margins or {}).get(suite, {}))
            lines += two.lines()
    return lines


def between(matrix: Matrix, ours: Row, theirs: Row, column: Column, margins: Mapping[str, float]) -> Comparison:
    """Two rows of one matrix on one task: the line that `compare` gives of them.

    Args:
        matrix: which has both rows.
        ours: side A.
        theirs: side B.
        column: the task.
        margins: unit to the margin below which a difference counts as none.
    """
    return _Two(matrix, matrix, False, margins).line(ours, theirs, column)


def _by_version(records: Sequence[Record], examples: ExampleReader | None) -> dict[str, dict[str, Matrix]]:
    """Suite and version to the matrix of the records."""
    found: dict[str, dict[str, Matrix]] = {}
    for matrix in matrices(records, examples):
        found.setdefault(matrix.suite, {})[matrix.version] = matrix
    return found


def select(records: Sequence[Record], label: str) -> list[Record]:
    """The records of one label.

    Raises:
        ValueError: no such label; the message lists near names.
    """
    chosen = [record for record in records if record.cell.label == label]
    if not chosen:
        known = sorted({record.cell.label for record in records})
        # Labels are short: a few other letters are a large part, so that the usual cutoff of 0.6 finds too little.
        near = difflib.get_close_matches(label, known, n=3, cutoff=0.3) or known[:5]
        raise ValueError(f"no results for {label!r}; did you mean {', '.join(map(repr, near)) or 'another folder'}?")
    return chosen


def contrasts(matrix: Matrix, info: SuiteInfo) -> list[Contrast]:
    """Every row against its baseline, per family of tasks, over the tasks that both have."""
    return list(chain.from_iterable(_family_contrasts(matrix, info, family) for family in info.families(matrix)))


def _family_contrasts(matrix: Matrix, info: SuiteInfo, family: Family) -> list[Contrast]:
    found = []
    first = family.columns[0]
    for row in matrix.rows:
        if row.label in family.baselines:
            continue
        baseline = _baseline(matrix, family, row)
        if baseline is None:
            continue
        by_task = {column.task: matrix.paired(row, baseline, [column]) for column in family.columns}
        pairings = [pairing for found_here in by_task.values() for pairing in found_here]
        if not pairings:
            continue
        name = baseline.label
        if baseline.backbone != row.backbone:
            name += f" · {baseline.backbone}"
        contrast = Contrast(
            row=row,
            family=family.name,
            unit=first.unit,
            difference=difference(pairings, first.higher_is_better, info.margins.get(first.unit)),
            seeds=max(len(pairing.pairs) for pairing in pairings),
            baseline=name,
            baseline_row=baseline,
            tasks=() if all(by_task.values()) else tuple(task for task, pairs in by_task.items() if pairs),
        )
        found.append(contrast)
    # Only now is it known for how many tests each of them is to be corrected.
    tested = sum(contrast.difference.p is not None for contrast in found)
    return [replace(contrast, difference=contrast.difference.corrected(tested)) for contrast in found]


def _baseline(matrix: Matrix, family: Family, row: Row) -> Row | None:
    """The first baseline on the backbone of `row` that ran on a task of it; else the best on another backbone."""
    found = matrix.baselines(family.baselines, row)
    if found:
        return next((other for other in found if matrix.paired(row, other, family.columns)), None)
    others = [other for other in matrix.rows if other.label in family.baselines and other.variant == row.variant]
    return matrix.best([other for other in others if matrix.complete(other, family.columns)], family.columns)


@dataclass(frozen=True)
class _Two:
    """Two matrices of one suite, side A and side B."""

    a: Matrix
    b: Matrix
    same_label: bool
    margins: Mapping[str, float]

    def lines(self) -> list[Comparison]:
        """One line for each row of A with a partner in B, and each of its tasks."""
        lines = []
        for ours in self.a.rows:
            for theirs in self._partners(ours):
                for column in self.a.columns:
                    if self.a.cells.get((ours, column)):
                        lines.append(self.line(ours, theirs, column))
        return lines

    def _partners(self, row: Row) -> list[Row]:
        """The other side's row on the same backbone and of the same variant; else those that come near.

        A label that did not run on this backbone is compared on each of its own.
        """
        candidates = [found for found in self.b.rows if found.label == row.label or not self.same_label]
        same_backbone = [found for found in candidates if found.backbone == row.backbone]
        for found in same_backbone:
            if found.variant == row.variant:
                return [found]
        near = same_backbone or candidates
        if len(near) == 1:
            return near
        # A row of B that stands against one of A on its own backbone is not compared a second time.
        known = {(other.backbone, other.variant) for other in self.a.rows}
        return [one for one in near if one.variant == row.variant and (one.backbone, one.variant) not in known]

    def line(self, ours: Row, theirs: Row, column: Column) -> Comparison:
        """One task of a pair of rows."""
        note = ""
        if ours.backbone != theirs.backbone:
            note = f"the backbones differ: {ours.backbone} against {theirs.backbone}"
        line = Comparison(suite=self.a.suite, name=self._name(ours, theirs, column), unit=column.unit, note=note)
        twins = [found for found in self.b.columns if found.task == column.task]
        twin = next((found for found in twins if found.version == column.version), next(iter(twins), None))
        if twin is None or not self.b.cells.get((theirs, twin)):
            return replace(line, reason="only side A has it")
        reason = _mismatch(self.a.cells[ours, column][0], self.b.cells[theirs, twin][0])
        if reason:
            return replace(line, reason=reason)
        pairing = pair(self.a.side(ours, column), self.b.side(theirs, twin))
        if not pairing.pairs:
            return replace(line, reason="no seed with a score on both sides")
        result = difference([pairing], column.higher_is_better, self.margins.get(column.unit))
        return replace(line, difference=result, reason=_undecidable(result))

    def _name(self, ours: Row, theirs: Row, column: Column) -> str:
        if self.same_label:
            return f"{row_name(self.a, ours)}: {column.task}"
        if ours.backbone != theirs.backbone:
            return f"{column.task} · {ours.backbone} − {theirs.backbone}"
        if len(self.a.rows) > 1:
            return f"{column.task} · {ours.backbone}"
        return column.task


def _undecidable(result: Difference) -> str | None:
    """Why a pair has no verdict, where the number of its seeds or its examples is the reason."""
    if result.outcome == "one seed":
        return ONE_SEED
    if result.outcome == "not comparable":
        return result.reason or "nothing measures the spread of this pair"
    return None


def _mismatch(a: Record, b: Record) -> str:
    """Why two records of one task cannot be compared; empty where they can."""
    if a.cell.task_version != b.cell.task_version:
        return f"task version {a.cell.task_version} against {b.cell.task_version}"
    return "; ".join(filter(None, (other_content(a, b), differences(a, b, "against"))))
