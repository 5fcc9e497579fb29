"""From a profile to cells, by importing the methods and tasks that it names (and torch with them)."""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from sparsebench.reports.records.record import CellInfo, Link

from ...contracts.applicability import reason_against
from ...contracts.budget import Budget
from ...contracts.method import Method
from ...contracts.task import Task
from ..discovery.loading import (
    NoSmallerError,
    budget_fields,
    check_argument,
    load_budget,
    load_method,
    load_task,
    smaller_backbone,
)
from ..discovery.parts import parts_of
from ..discovery.registry import find, suite
from ..errors import UsageError
from ..identity.cell import Cell, cell_key, planned_weights
from ..identity.device import device_kind
from ..identity.fingerprint import code_hash, versions
from ..identity.machine import fast_dtype
from .chain import links_of
from .durations import training_length
from .profile import Profile, SuitePlan
from .rows import Row, TaskRow


def cells_of(profile: Profile) -> Iterator[Cell]:
    """All cells, those of one row, backbone and seed side by side. Raises `UsageError`."""
    device = device_kind() if profile.device == "auto" else profile.device
    for plan in profile.plans:
        yield from _of_suite(plan, device)


class _LoadedTask(NamedTuple):
    row: TaskRow
    task: Task
    budget: Budget


class _LoadedRow(NamedTuple):
    row: Row
    links: Sequence[Link]
    """With all their options."""
    chain: Sequence[Method]
    reason: str | None = None
    """Why it cannot run with the backbone, as far as the backbone's name says it."""


def _of_suite(plan: SuitePlan, device: str) -> Iterator[Cell]:
    """Each task and row is looked up and loaded once, however many cells it has."""
    for name in plan.backbones:
        # Said even where no row has this backbone.
        check_argument(find("backbone", name, plan.suite), name)
    labels = {row.label for row in plan.methods}
    tasks = [_load_task(plan, task) for task in plan.tasks if not task.rows or labels.intersection(task.rows)]
    for loaded in map(_load_row, plan.methods):
        for backbone in loaded.row.backbones or plan.backbones:
            yield from _by_seed(plan, _beside(plan, loaded, backbone), backbone, tasks, device)


def _by_seed(
    plan: SuitePlan, loaded: _LoadedRow, backbone: str, tasks: Sequence[_LoadedTask], device: str
) -> Iterator[Cell]:
    """Side by side by seed; of tasks of one name the ones with more to train come after all seeds of those with less.

    Nothing orders cells but the plan. Of a short and a long training of a row the short one then has its scores first,
    and the longest cells, which are few, still begin before the rows that follow.
    """
    meant = [task for task in tasks if task.row.takes(loaded.row.label, backbone)]
    for together in _by_length(meant):
        per_task = [list(_seeds(plan, loaded, backbone, task, device)) for task in together]
        for cells in zip_longest(*per_task):  # seeds count from 0, a task may have fewer of them
            yield from (cell for cell in cells if cell is not None)


def _by_length(tasks: Sequence[_LoadedTask]) -> list[list[_LoadedTask]]:
    """The tasks, of those of one name the shortest; then the second shortest; and so on."""
    waves: list[list[_LoadedTask]] = []
    for task in tasks:
        shorter = [other for other in tasks if other.row.name == task.row.name and _length(other) < _length(task)]
        waves.extend([] for _ in range(len(shorter) + 1 - len(waves)))
        waves[len(shorter)].append(task)
    return waves


def _length(task: _LoadedTask) -> tuple[str, float]:
    """How long it trains; lengths in different units are only apart."""
    return training_length(budget_fields(task.budget))


def _seeds(plan: SuitePlan, loaded: _LoadedRow, backbone: str, task: _LoadedTask, device: str) -> Iterator[Cell]:
    chain = loaded.chain
    info = _info(plan, loaded, backbone, task, device)
    parts = parts_of(info)
    sources = parts.sources
    code = code_hash(parts.entries, versions(suite(plan.suite).libraries), device)
    known, *further = [entry.backbone(name) for entry, name in parts.backbones]
    reason = loaded.reason or reason_against(chain, task.task, known, further, [link.method for link in loaded.links])
    drawn = any(entry.constant("RANDOM_WEIGHTS", False) for entry, _ in parts.backbones)
    by_seed = task.task.draws or task.task.splits_by_seed or drawn
    stochastic = not reason and (by_seed or any(method.stochastic for method in chain))
    seeds = 1
    if stochastic:
        seeds = task.row.seeds or plan.row_seeds.get(loaded.row.label, plan.seeds)
    for seed in range(seeds):
        numbered = dataclasses.replace(info, seed=seed)
        yield Cell(
            info=numbered,
            key=cell_key(numbered, parts, sources),
            code=code,
            device=device,
            timeout=plan.timeout,
            sources=sources,
            reason=reason,
            checkpoints=plan.checkpoints,
            planned_seeds=seeds,
            weights=planned_weights(parts),
            stochastic=stochastic,
        )


def _load_task(plan: SuitePlan, row: TaskRow) -> _LoadedTask:
    task = load_task(find("task", row.name, plan.suite))
    budget = load_budget(plan.budget, row.budget)
    _check_budget(budget, task, row.name)
    return _LoadedTask(row, task, budget)


def _check_budget(budget: Budget, task: Task, name: str) -> None:
    """Raise `UsageError` for what this task cannot do."""
    if budget.watch and not task.watches:
        raise UsageError(
            f"the budget says watch: {list(budget.watch)}, but the task {name!r} has no epochs to watch: say it in the "
            "budgets of tasks that classify or regress"
        )
    if budget.rest is not None and not task.rests:
        raise UsageError(
            f"the budget says rest: {budget.rest}, but the task {name!r} has no validation part that stays out of "
            "training: say it in the budgets of tasks that have one"
        )
    for domain in budget.calibration_domains:
        if domain not in task.calibration_choices:
            choices = ", ".join(task.calibration_choices) or "none: its calibration examples are training examples"
            raise UsageError(f"calibration_domains: task {name!r} has no {domain!r}; it has {choices}")


def _load_row(row: Row) -> _LoadedRow:
    links = []
    chain = []
    for link in links_of(row):
        method = load_method(find("method", link.method), link.config)
        links.append(Link(method=link.method, config=dataclasses.asdict(method)))
        chain.append(method)
    return _LoadedRow(row, links, chain)


def _beside(plan: SuitePlan, loaded: _LoadedRow, backbone: str) -> _LoadedRow:
    """The row with what the backbone chooses to go beside it, where a method wants such a one."""
    if not any(method.wants_smaller for method in loaded.chain):
        return loaded
    try:
        smaller = smaller_backbone(find("backbone", backbone, plan.suite), backbone)
    except NoSmallerError as error:
        return loaded._replace(reason=str(error))
    chain = [method.beside(smaller) for method in loaded.chain]
    pairs = zip(loaded.links, chain, strict=True)
    links = [Link(method=link.method, config=dataclasses.asdict(method)) for link, method in pairs]
    return loaded._replace(links=links, chain=chain)


def _further(chain: Sequence[Method]) -> list[str]:
    """The backbones that the methods name, each once."""
    found: dict[str, None] = {}
    for method in chain:
        found |= dict.fromkeys(method.backbones())
    return list(found)


def _info(plan: SuitePlan, loaded: _LoadedRow, backbone: str, task: _LoadedTask, device: str) -> CellInfo:
    first, *then = loaded.links
    return CellInfo(
        suite=plan.suite,
        suite_version=suite(plan.suite).version,
        task=task.row.name,
        task_version=task.task.version,
        group=task.task.group,
        method=first.method,
        label=loaded.row.label,
        config=first.config,
        backbone=backbone,
        seed=0,
        budget=budget_fields(task.budget),
        dtype=fast_dtype(device) if plan.dtype == "auto" else plan.dtype,
        then=then,
        further_backbones=_further(loaded.chain),
    )
