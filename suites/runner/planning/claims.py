"""Claims of a profile, checked against the rows, tasks, budgets and backbones that it lists."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from sparsebench.reports.tables.claims import Claim
from sparsebench.reports.tables.dataframe import canonical
from sparsebench.reports.tables.matrix import WITHOUT_EFFECT

from ..errors import UsageError, near
from . import values
from .rows import Row, TaskRow
from .study import Study, with_study


@dataclass(frozen=True)
class Listed:
    """What a suite's part of a profile lists."""

    suite: str
    rows: Sequence[Row]
    tasks: Sequence[TaskRow]
    backbones: Sequence[str]
    budget: Mapping[str, Any]
    study: Study = field(default_factory=Study)
    looks: tuple[int, ...] = ()


def read_claim(item: object, listed: Listed) -> Claim:
    """A claim about rows, tasks and a backbone that the plan has. Raises `UsageError`."""
    from ..discovery.validation import build

    where = f"suite {listed.suite!r}, claims"
    given = values.mapping(item, where)
    missing = [key.name for key in fields(Claim) if _needed(key) and key.name not in {*given, "suite"}]
    if missing:
        raise UsageError(f"{where}: {given.get('id', 'a claim')} has no {' and no '.join(map(repr, missing))}")
    claim = build(Claim, {**given, "suite": listed.suite}, where)
    where = f"{where}: {claim.id}"
    _check_shape(where, claim)
    known("row", [*claim.all_rows, *claim.base], [row.label for row in listed.rows], where)
    known("task", claim.tasks, [task.name for task in listed.tasks], where)
    if claim.backbone:
        known("backbone", [claim.backbone], listed.backbones, where)
    if listed.study.unit == "seed":
        _check_backbones(where, claim, listed)
    for label in claim.all_rows:
        for name in claim.tasks:
            _check_budget(where, claim, label, name, listed)
    claim = with_study(claim, listed.study, listed.looks, where)
    for check in claim.checks:
        known("row", check.rows, [row.label for row in listed.rows], f"{where}: a check")
        known("task", [check.task] if check.task else [], [task.name for task in listed.tasks], f"{where}: a check")
    if listed.study.unit == "training":
        claim = replace(claim, trainings=_trainings(where, claim, listed))
    return claim


def check_study(listed: Listed, claims: Sequence[Claim]) -> None:
    """Raise `UsageError` where the study names a claim or a metric that none of the claims has."""
    where = f"suite {listed.suite!r}, study"
    for _, ids in listed.study.checks:
        known("claim", ids, [claim.id for claim in claims], where)
    known("metric", list(listed.study.smallest_effects), [claim.metric for claim in claims], where)


def _needed(key: Any) -> bool:
    return key.default is MISSING and key.default_factory is MISSING


def known(kind: str, named: Sequence[str], listed: Sequence[str], where: str) -> None:
    """Raise `UsageError` for a name that is not listed."""
    for name in named:
        if name not in listed:
            raise UsageError(f"{where} names the {kind} {name!r}, which is not listed{near(name, listed)}")


def _check_shape(where: str, claim: Claim) -> None:
    if len(claim.rows) < 2:
        raise UsageError(f"{where} must name two rows or more to compare, not {list(claim.rows)}")
    if not claim.against and any(first == second for first, second in claim.pairs):
        raise UsageError(f"{where} compares a row with itself: say by which other metric, in `against`")
    if claim.throughout and claim.against:
        raise UsageError(f"{where} is about a curve, `throughout`: a second metric in `against` has no place there")
    if not claim.tasks:
        raise UsageError(f"{where} must name a task or more to compare on")


def _check_backbones(where: str, claim: Claim, listed: Listed) -> None:
    """Without a backbone of its own, a claim is about rows that run on one backbone each."""
    for row in listed.rows:
        places = row.backbones or listed.backbones
        if not claim.backbone and row.label in claim.rows and len(places) > 1:
            raise UsageError(f"{where} names no backbone, and the row {row.label!r} runs on {', '.join(places)}")


def _trainings(where: str, claim: Claim, listed: Listed) -> tuple[str, ...]:
    """The arguments of the backbones that its rows run on: those of all rows are the same, in the same order.

    Raises `UsageError` where they are not, and for several tasks: their mean would have no interval over trainings.
    """
    if listed.looks:
        raise UsageError(f"{where}: seeds by need add draws, and no trainings: say how many seeds there are")
    if claim.backbone:
        raise UsageError(f"{where} names a backbone, but the study is over trainings of it: name none")
    if len(claim.tasks) > 1:
        raise UsageError(f"{where}: trainings are compared on one task, not on {', '.join(claim.tasks)}")
    rows = {*claim.all_rows, *(row for check in claim.checks for row in check.rows)}
    found: dict[str, tuple[str, ...]] = {}
    for row in listed.rows:
        if row.label in rows:
            places = [name.partition(":") for name in row.backbones or listed.backbones]
            found[row.label] = tuple(argument for _, _, argument in places)
            if len({name for name, _, _ in places}) > 1 or "" in found[row.label]:
                raise UsageError(f"{where}: {row.label!r} must run on trainings of one backbone, say net:0 and net:1")
    first, *others = found.items()
    for label, trainings in others:
        if trainings != first[1]:
            raise UsageError(f"{where}: {first[0]!r} and {label!r} run on other trainings: {first[1]} and {trainings}")
    return first[1]


def _check_budget(where: str, claim: Claim, label: str, name: str, listed: Listed) -> None:
    """A row that has the task under several budgets would be compared under all of them at once."""
    places = [task for task in listed.tasks if task.name == name and (not task.rows or label in task.rows)]
    if len(places) < 2 and not claim.budget:
        return
    budgets = [_fields(listed.budget, task.budget) for task in places]
    meant = [budget for budget in budgets if all(budget.get(key) == value for key, value in _plain(claim.budget))]
    if budgets and not meant:
        raise UsageError(f"{where}: the row {label!r} has {name!r} under no budget with {dict(claim.budget)}")
    different = [key for key in (meant[0] if meant else {}) if len({budget.get(key) for budget in meant}) > 1]
    if different:
        key = different[0]
        choices = " or ".join(dict.fromkeys(f"{{{key}: {budget.get(key)}}}" for budget in meant))
        raise UsageError(
            f"{where}: the row {label!r} has {name!r} under several budgets: name one in `budget`, {choices}"
        )


def _fields(*layers: Mapping[str, object]) -> dict[str, str]:
    """The budget as a record has it, without what changes no score."""
    from ..discovery.loading import budget_fields, load_budget

    found = dict(_plain(budget_fields(load_budget(*layers))))
    return {key: value for key, value in found.items() if key not in WITHOUT_EFFECT}


def _plain(budget: Mapping[str, object]) -> list[tuple[str, str]]:
    return [(key, canonical(value)) for key, value in budget.items()]
