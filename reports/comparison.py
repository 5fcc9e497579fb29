"""Two sides compared, task by task and over all tasks: paired differences with interval, p and outcome."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .matrix import Column, Matrix, Row, matrices, pairs, setting
from .record import Record
from .statistics import Difference, Outcome, Score, difference, holm
from .tables import Family, SuiteInfo, row_name


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One line of `compare`: side A minus side B, positive means that A is better; or why they cannot be compared."""

    suite: str
    name: str
    unit: str
    difference: Difference | None
    pairs: int
    reason: str | None = None

    @property
    def outcome(self) -> Outcome:
        """better, same, worse (A against B), or not comparable."""
        return self.difference.outcome if self.difference else "not comparable"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A row against the baseline over the tasks of one family; `p` is corrected over the rows of the family (Holm)."""

    row: Row
    name: str
    family: str
    unit: str
    difference: Difference
    p: float | None
    seeds: int
    baseline: str

    @property
    def outcome(self) -> Outcome:
        """As `Difference.outcome`, with the corrected p."""
        return replace(self.difference, p=self.p).outcome


def compare(a: Sequence[Record], b: Sequence[Record], same_label: bool = False) -> list[Comparison]:
    """Side A against side B on every task that both have, by task × seed.

    Args:
        a: records of side A: those of one label, or a whole result folder.
        b: records of side B.
        same_label: compare each label with itself (two folders) rather than one label with another.
    """
    sides = [{(m.suite, m.version): m for m in matrices(side)} for side in (a, b)]
    lines = []
    for suite in sorted({name for side in sides for name, _ in side}):
        versions = [{v for name, v in side if name == suite} for side in sides]
        shared = sorted(versions[0] & versions[1])
        if not shared:
            ours, theirs = (", ".join(sorted(v)) or "none" for v in versions)
            reason = f"suite version {ours} against {theirs}"
            lines.append(Comparison(suite=suite, name="all tasks", unit="", difference=None, pairs=0, reason=reason))
        for version in shared:
            lines += _compare(sides[0][suite, version], sides[1][suite, version], same_label)
    return lines


def select(records: Sequence[Record], label: str) -> list[Record]:
    """The records of one label.

    Raises:
        ValueError: no such label; the message lists near names.
    """
    chosen = [record for record in records if record.cell.label == label]
    if not chosen:
        known = sorted({record.cell.label for record in records})
        near = difflib.get_close_matches(label, known, n=3, cutoff=0.3) or known[:5]
        raise ValueError(f"no results for {label!r}; did you mean {', '.join(map(repr, near)) or 'another folder'}?")
    return chosen


def contrasts(matrix: Matrix, info: SuiteInfo) -> list[Contrast]:
    """Every row against the family's baseline, per family of tasks, over the tasks that both have."""
    return [contrast for family in info.families(matrix) for contrast in _family_contrasts(matrix, family)]


def _family_contrasts(matrix: Matrix, family: Family) -> list[Contrast]:
    found = []
    first = family.columns[0]
    for row in matrix.rows:
        baseline = matrix.baseline(family.baseline, row)
        if baseline is None or baseline == row:
            continue
        pairings = [pairs(matrix.scores(row, c), matrix.scores(baseline, c)) for c in family.columns]
        pairings = [p for p in pairings if p]
        if pairings:
            found.append((row, difference(pairings, first.higher_is_better), max(map(len, pairings))))
    corrected = holm([d.p for _, d, _ in found])
    return [
        Contrast(
            row=row,
            name=row_name(matrix, row),
            family=family.name,
            unit=first.unit,
            difference=d,
            p=p,
            seeds=seeds,
            baseline=family.baseline,
        )
        for (row, d, seeds), p in zip(found, corrected, strict=True)
    ]


def _compare(a: Matrix, b: Matrix, same_label: bool) -> list[Comparison]:
    lines = []
    for ours in a.rows:
        theirs = _partner(ours, b, same_label)
        if theirs is None:
            continue
        for column in a.columns:
            if a.cells.get((ours, column)):
                lines.append(_compare_task(a, b, ours, theirs, column, same_label))
    return lines


def _partner(row: Row, other: Matrix, same_label: bool) -> Row | None:
    """The other side's row on the same backbone and of the same variant; else the only one that comes near."""
    candidates = [found for found in other.rows if found.label == row.label or not same_label]
    same_backbone = [found for found in candidates if found.backbone == row.backbone]
    for found in same_backbone:
        if found.variant == row.variant:
            return found
    near = same_backbone or candidates
    return near[0] if len(near) == 1 else None


def _compare_task(a: Matrix, b: Matrix, ours: Row, theirs: Row, column: Column, same_label: bool) -> Comparison:
    name = f"{row_name(a, ours)}: {column.task}" if same_label else column.task
    name += f" · {ours.backbone}" if not same_label and len(a.rows) > 1 else ""
    line = Comparison(suite=a.suite, name=name, unit=column.unit, difference=None, pairs=0)
    twin = next((c for c in b.columns if c.task == column.task), None)
    if twin is None or not b.cells.get((theirs, twin)):
        return replace(line, reason="only side A has it")
    if reason := _mismatch(a.cells[ours, column][0], b.cells[theirs, twin][0]):
        return replace(line, reason=reason)
    pairing: list[tuple[Score, Score]] = pairs(a.scores(ours, column), b.scores(theirs, twin))
    if not pairing:
        return replace(line, reason="no seed with a score on both sides")
    result = difference([pairing], column.higher_is_better)
    reason = None if result.outcome != "not comparable" else "one pair, and no standard error"
    return replace(line, difference=result, pairs=len(pairing), reason=reason)


def _mismatch(a: Record, b: Record) -> str | None:
    """Why two records of one task cannot be compared, or None."""
    if a.cell.task_version != b.cell.task_version:
        return f"task version {a.cell.task_version} against {b.cell.task_version}"
    ours, theirs = setting(a), setting(b)
    different = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
    if different:
        return "; ".join(f"{key} {ours.get(key, 'unset')} against {theirs.get(key, 'unset')}" for key in different)
    return None
