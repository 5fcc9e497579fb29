"""Profiles: which rows, tasks, seeds and budgets to run. Built in, or a user's YAML file.

A built-in profile is one file per suite, `suites/<suite>/profiles/<name>.yaml`. A user's file maps suites to the same
content:

    vtab:
      seeds: 3
      budget: {epochs: 8}
      backbones: ["efficientnet_lite0:64"]
      methods:
        - linear_probe
        - {name: adapter, config: {rank: 8}}
        - {name: adapter, config: {rank: 16}, label: matched, role: control}
        - {chain: [adapter, magnitude_pruning], label: pruned, train: head}
      tasks: [fashion_mnist, {name: digits, budget: {epochs: 4}}]

A study is a profile that says under `claims` what it expects of its rows (`sparsebench.reports.tables.claims.Claim`),
and under `study` what all of these share; it may add seeds by need (`planning.study`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from sparsebench.reports.tables.claims import Claim

from ..discovery.registry import is_further, place_of, suite, suites
from ..errors import UsageError, near
from . import values
from .claims import Listed, check_study, known, read_claim
from .profile_file import read_yaml
from .rows import Row, TaskRow, chain_of, checked, read_row, read_task
from .study import read_looks, read_study

DTYPES = ("float32", "bfloat16", "float64")
PLANNED_DTYPES = ("auto", *DTYPES)
""""auto": bfloat16 where the device multiplies it faster than float32, else float32; the record says which it was."""
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class SuitePlan:
    """One suite's part of a profile."""

    suite: str
    methods: tuple[Row, ...]
    tasks: tuple[TaskRow, ...]
    backbones: tuple[str, ...]
    seeds: int = 3
    """Of the pilot, where seeds are added by need."""
    dtype: str = "float32"
    timeout: float = 1800.0
    """Seconds that one cell may take."""
    checkpoints: bool | Literal["keep"] = False
    """Whether a training that is killed goes on where it was; for long ones, since it writes weights to the disk.
    "keep": what it ended with stays there, too, for `sparsebench take-out`."""
    budget: Mapping[str, Any] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    looks: tuple[int, ...] = ()
    """How many seeds there are at each look, from the pilot to the budget; empty where their number is fixed."""
    row_seeds: Mapping[str, int] = field(default_factory=dict)
    """Seeds of rows that have more than the pilot by now, by label."""


MADE = ("suite", "looks", "row_seeds")
"""What no profile says of a suite in a key of that name."""


@dataclass(frozen=True)
class Profile:
    """A named list of suite plans."""

    name: str
    plans: tuple[SuitePlan, ...]
    device: Device = "auto"
    """The kind of device that the cells run on; "auto": CUDA where this machine has it."""


def built_in() -> dict[str, tuple[str, ...]]:
    """Names of the built-in profiles and the suites that have them."""
    found: dict[str, list[str]] = {}
    for owner in sorted(suites()):
        for path in sorted((place_of(owner).folder / "profiles").glob("*.yaml")):
            found.setdefault(path.stem, []).append(owner)
    return {name: tuple(owners) for name, owners in sorted(found.items())}


def load_profile(name: str, only: Sequence[str] = ()) -> Profile:
    """The built-in profile `name`, or the YAML file `name`; `only` restricts the suites. Raises `UsageError`."""
    for wanted in only:
        suite(wanted)
    if name.endswith((".yaml", ".yml")):
        sections = read_yaml(Path(name))
        for key in sections:
            suite(key)
    elif name in built_in():
        owners = _owners(name, only)
        sections = {owner: read_yaml(place_of(owner).folder / "profiles" / f"{name}.yaml") for owner in owners}
    else:
        raise UsageError(f"unknown profile {name!r}{near(name, built_in())}; a file of yours must end in .yaml")
    plans = tuple(_plan(key, section) for key, section in sections.items() if not only or key in only)
    if not plans:
        raise UsageError(f"profile {name!r} has nothing for {', '.join(only)}; it covers: {', '.join(sections)}")
    return Profile(Path(name).stem, plans)


def _owners(name: str, only: Sequence[str]) -> tuple[str, ...]:
    """The suites that a profile means; what another package adds to one of ours, it means where that is asked for."""
    owners = built_in()[name]
    own = tuple(owner for owner in owners if owner in only or not is_further(owner))
    return own or owners


def _plan(name: str, section: object) -> SuitePlan:
    known_keys = [*(entry.name for entry in fields(SuitePlan) if entry.name not in MADE), "study"]
    given = checked(section, known_keys, f"suite {name!r}")
    for key in ("methods", "tasks", "backbones"):
        if not isinstance(given.get(key), list) or not given[key]:
            raise UsageError(f"suite {name!r}: {key!r} must be a list with at least one entry")
    given["backbones"] = values.texts(given["backbones"], f"suite {name!r}, backbones")
    items = values.sequence(given.pop("claims", []), f"suite {name!r}, claims")
    study = read_study(given.pop("study", {}), f"suite {name!r}, study")
    looks = read_looks(given.get("seeds", 1), f"suite {name!r}: seeds")
    if looks:
        given["seeds"] = looks[0]
    rows = tuple(read_row(item, f"suite {name!r}, methods") for item in given.pop("methods"))
    tasks = tuple(read_task(item, f"suite {name!r}, tasks") for item in given.pop("tasks"))
    _check_values(name, given, rows)
    labels = [row.label for row in rows]
    values.check_once(_tasks_of_rows(tasks, labels), f"suite {name!r}, tasks")
    for task in tasks:
        if task.seeds is not None and looks:
            raise UsageError(f"suite {name!r}: {task.name!r} has seeds of its own, and the suite adds them by need")
        if task.seeds is not None:
            values.seeds(task.seeds, f"suite {name!r}: seeds of {task.name!r}")
        known("row", task.rows, labels, f"suite {name!r}: task {task.name!r}")
        known("backbone", task.backbones, given["backbones"], f"suite {name!r}: task {task.name!r}")
    listed = Listed(name, rows, tasks, given["backbones"], given.get("budget", {}), study, looks)
    claims = tuple(read_claim(item, listed) for item in items)
    check_study(listed, claims)
    return SuitePlan(suite=name, methods=rows, tasks=tasks, claims=claims, looks=looks, **given)


def _tasks_of_rows(tasks: Sequence[TaskRow], labels: Sequence[str]) -> list[str]:
    """Each task with its budget and one row of it: a task may be listed again for other rows, or another budget."""
    found = []
    for task in tasks:
        found += [
            f"{task.name} of the row {label!r} {dict(task.budget) or ''}".rstrip() for label in task.rows or labels
        ]
    return found


def _check_values(name: str, given: Mapping[str, Any], rows: Sequence[Row]) -> None:
    labels = [row.label for row in rows]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"suite {name!r}: two rows have the label {label!r}: give one of them another `label`")
    dtype = values.text(given.get("dtype", DTYPES[0]), f"suite {name!r}: dtype")
    if dtype not in PLANNED_DTYPES:
        raise UsageError(f"suite {name!r}: unknown dtype {dtype!r}{near(dtype, PLANNED_DTYPES)}")
    values.seconds(given.get("timeout", 1), f"suite {name!r}: timeout")
    values.checkpoints(given.get("checkpoints", False), f"suite {name!r}: checkpoints")
    for row in rows:
        known("backbone", row.backbones, given["backbones"], f"suite {name!r}: row {row.label!r}")


def narrow(
    plan: SuitePlan, methods: Sequence[str], tasks: Sequence[str], backbones: Sequence[str], seeds: int | None
) -> SuitePlan:
    """The plan with only these rows, tasks, backbones and seeds; what it does not list is added with its defaults."""
    rows = tuple(row for row in plan.methods if {row.name, row.label} & set(methods))
    listed = {row.name for row in rows} | {row.label for row in rows}
    added = tuple(Row(chain_of(name)) for name in methods if name not in listed)
    rows += added
    known = {row.name: row for row in plan.tasks}
    asked = tuple(replace(known.get(name, TaskRow(name)), rows=(), backbones=()) for name in tasks)
    narrowed = replace(
        plan,
        methods=tuple(replace(row, backbones=()) if backbones else row for row in rows or plan.methods),
        tasks=asked or (*plan.tasks, *_tasks_of_added(plan, added, anywhere=bool(backbones))),
        backbones=tuple(backbones) or plan.backbones,
    )
    return narrowed if seeds is None else with_seeds(narrowed, seeds)


def _tasks_of_added(plan: SuitePlan, added: Sequence[Row], *, anywhere: bool) -> list[TaskRow]:
    """The tasks that are for some rows only, once more for the added ones: where they have rows, or `anywhere`."""
    labels = tuple(row.label for row in added)
    alike: dict[str, list[TaskRow]] = {}
    for task in plan.tasks:
        alike.setdefault(f"{task.name} {task.budget}", []).append(task)
    return [
        replace(tasks[0], rows=labels, backbones=() if anywhere else _backbones_of(plan, tasks))
        for tasks in alike.values()
        if labels and all(task.rows for task in tasks)
    ]


def _backbones_of(plan: SuitePlan, tasks: Sequence[TaskRow]) -> tuple[str, ...]:
    """Those on which the rows that these tasks name are run."""
    wanted = {label for task in tasks for label in task.rows}
    lists = [row.backbones or plan.backbones for row in plan.methods if row.label in wanted]
    return tuple(name for name in plan.backbones if any(name in names for names in lists))


def with_seeds(plan: SuitePlan, seeds: int) -> SuitePlan:
    """The plan with so many seeds of every task, those with a number of their own too, and none by need."""
    tasks = tuple(replace(task, seeds=None) for task in plan.tasks)
    return replace(plan, seeds=seeds, looks=(), row_seeds={}, tasks=tasks)
