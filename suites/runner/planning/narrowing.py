"""What each suite of a profile takes of the rows, tasks and backbones that are named on the command line."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from ..discovery.entry import Kind
from ..discovery.registry import entries, methods_of
from ..errors import UsageError, near
from .profile import Profile, SuitePlan, narrow
from .rows import Row, chain_of, twin_of


@dataclass(frozen=True)
class Named:
    """Rows (labels, methods or chains of them), tasks and backbones; empty: those of the profile."""

    rows: Sequence[str] = ()
    tasks: Sequence[str] = ()
    backbones: Sequence[str] = ()


def narrow_profile(profile: Profile, named: Named, seeds: int | None) -> tuple[Profile, list[str]]:
    """The profile with what is named alone, and a line for each suite that is left out.

    Of several suites each takes the names that it knows; a suite that knows none of the rows, tasks or backbones that
    are named is left out. A single suite is given all names, known or not, so that what is wrong is said of it.

    Args:
        profile: as it was loaded.
        named: what to keep, or to add with its defaults.
        seeds: the number of seeds; None leaves it as it is.

    Returns:
        The profile and what there is to say about it.

    Raises:
        UsageError: a name that no suite knows, or no suite that knows one of each.
    """
    if len(profile.plans) == 1:
        (plan,) = profile.plans
        narrowed, notes = _narrowed(plan, named, seeds)
        return replace(profile, plans=(narrowed,)), notes
    known = [_known(plan, named) for plan in profile.plans]
    _check("method", named.rows, [part.rows for part in known], lambda: _all_rows(profile.plans))
    _check("task", named.tasks, [part.tasks for part in known], lambda: _all("task", profile.plans))
    _check("backbone", named.backbones, [part.backbones for part in known], lambda: _all("backbone", profile.plans))
    plans = []
    notes: list[str] = []
    for plan, part in zip(profile.plans, known, strict=True):
        lacking = _lacking(named, part)
        if lacking:
            notes.append(f"{plan.suite} is left out: it has none of the named {' and '.join(lacking)}")
        else:
            narrowed, twins = _narrowed(plan, part, seeds)
            plans.append(narrowed)
            notes += twins
    if not plans:
        raise UsageError("no suite has one of the named rows, tasks and backbones together: " + "; ".join(notes))
    return replace(profile, plans=tuple(plans)), notes


def _narrowed(plan: SuitePlan, named: Named, seeds: int | None) -> tuple[SuitePlan, list[str]]:
    """The plan, and a line for each row that is another's there: rows that differ in backbones and tasks alone do not
    where both are named.
    """
    narrowed = narrow(plan, named.rows, named.tasks, named.backbones, seeds)
    if not (named.tasks and named.backbones):
        return narrowed, []
    rows: list[Row] = []
    notes = []
    # The row that is called as its method is, before one that the profile calls after a backbone or task.
    for row in sorted(narrowed.methods, key=lambda row: row.label != row.name):
        twin = twin_of(row, rows)
        if twin is None:
            rows.append(row)
        else:
            notes.append(f"on the named backbones and tasks {row.label!r} is the same as {twin.label!r}: it runs once")
    return replace(narrowed, methods=tuple(row for row in narrowed.methods if row in rows)), notes


def _known(plan: SuitePlan, named: Named) -> Named:
    """Those of the names that a suite knows."""
    methods = methods_of([plan.suite])
    listed = {row.label for row in plan.methods} | {row.name for row in plan.methods}
    rows = [name for name in named.rows if name in listed or all(link.method in methods for link in chain_of(name))]
    tasks = [name for name in named.tasks if name in entries("task", plan.suite)]
    kinds = entries("backbone", plan.suite)
    backbones = [name for name in named.backbones if name.partition(":")[0] in kinds]
    return Named(rows, tasks, backbones)


def _lacking(named: Named, known: Named) -> list[str]:
    """What kinds of names there were of which a suite knows none."""
    pairs = {
        "rows": (named.rows, known.rows),
        "tasks": (named.tasks, known.tasks),
        "backbones": (named.backbones, known.backbones),
    }
    return [kind for kind, (all_names, mine) in pairs.items() if all_names and not mine]


def _check(
    kind: Kind, names: Iterable[str], known: Sequence[Sequence[str]], choices: Callable[[], Collection[str]]
) -> None:
    """Raise `UsageError` for a name that no suite knows; `choices` are asked for only then."""
    for name in names:
        if not any(name in part for part in known):
            raise UsageError(f"no suite of the profile has the {kind} {name!r}{near(name, choices())}")


def _all_rows(plans: Sequence[SuitePlan]) -> set[str]:
    labels = {row.label for plan in plans for row in plan.methods}
    return labels | set(methods_of([plan.suite for plan in plans]))


def _all(kind: Kind, plans: Sequence[SuitePlan]) -> set[str]:
    return {name for plan in plans for name in entries(kind, plan.suite)}
