"""From a profile to cells, by importing the methods and tasks that it names (and torch with them)."""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from sparsebench.reports.records.record import CellInfo, Link

from ...contracts.applicability import reason_against
from ...contracts.budget import Budget
from ...contracts.method import Method
from ...contracts.task import Task
from ..discovery.loading import budget_fields, load_budget, load_method, load_task
from ..discovery.registry import find, suite
from ..errors import UsageError
from ..identity.cell import Cell, cell_entries, cell_key, entry_sources, planned_weights
from ..identity.device import device_kind
from ..identity.fingerprint import code_hash, versions
from ..identity.machine import fast_dtype
from .chain import links_of
from .profile import Profile, SuitePlan
from .rows import Row, TaskRow


def cells_of(profile: Profile) -> Iterator[Cell]:
    """All cells, those of one row, backbone and seed side by side. Raises `UsageError`."""
    device = device_kind() if profile.device == "auto" else profile.device
    for plan in profile.plans:
        for row in plan.methods:
            for backbone in row.backbones or plan.backbones:
                yield from _by_seed(plan, row, backbone, device)


def _by_seed(plan: SuitePlan, row: Row, backbone: str, device: str) -> Iterator[Cell]:
    tasks = [task for task in plan.tasks if not task.rows or row.label in task.rows]
    per_task = [list(_seeds(plan, row, backbone, task, device)) for task in tasks]
    for cells in zip_longest(*per_task):  # seeds count from 0, a task may have fewer of them
        yield from (cell for cell in cells if cell is not None)


def _seeds(plan: SuitePlan, row: Row, backbone: str, task_row: TaskRow, device: str) -> Iterator[Cell]:
    links, chain = _load(row)
    task = load_task(find("task", task_row.name, plan.suite))
    budget = load_budget(plan.budget, task_row.budget)
    _check_budget(budget, task, task_row.name)
    info = _info(plan, row, backbone, task_row.name, links, task, budget, device)
    info = dataclasses.replace(info, further_backbones=_further(chain))
    entries = cell_entries(info)
    sources = entry_sources(entries)
    code = code_hash(entries, versions(suite(plan.suite).libraries), device)
    names = (backbone, *info.further_backbones)
    known, *further = [find("backbone", name, plan.suite).backbone(name) for name in names]
    reason = reason_against(chain, task, known, further, [link.method for link in links])
    drawn = any(entry.constant("RANDOM_WEIGHTS", False) for entry in entries if entry.kind == "backbone")
    stochastic = not reason and (task.draws or drawn or any(method.stochastic for method in chain))
    seeds = 1
    if stochastic:
        seeds = task_row.seeds or plan.seeds
    for seed in range(seeds):
        numbered = dataclasses.replace(info, seed=seed)
        yield Cell(
            info=numbered,
            key=cell_key(numbered, sources),
            code=code,
            device=device,
            timeout=plan.timeout,
            sources=sources,
            reason=reason,
            checkpoints=plan.checkpoints,
            planned_seeds=seeds,
            weights=planned_weights(numbered),
            stochastic=stochastic,
        )


def _check_budget(budget: Budget, task: Task, name: str) -> None:
    """Raise `UsageError` for what this task cannot do."""
    if budget.watch and not task.watches:
        raise UsageError(
            f"the budget says watch: {list(budget.watch)}, but the task {name!r} has no epochs to watch: say it in the "
            "budgets of tasks that classify or regress"
        )
    for domain in budget.calibration_domains:
        if domain not in task.calibration_choices:
            choices = ", ".join(task.calibration_choices) or "none: its calibration examples are training examples"
            raise UsageError(f"calibration_domains: task {name!r} has no {domain!r}; it has {choices}")


def _load(row: Row) -> tuple[list[Link], list[Method]]:
    """The links of a row with all their options, and the methods."""
    links = []
    chain = []
    for link in links_of(row):
        method = load_method(find("method", link.method), link.config)
        links.append(Link(method=link.method, config=dataclasses.asdict(method)))
        chain.append(method)
    return links, chain


def _further(chain: Sequence[Method]) -> list[str]:
    """The backbones that the methods name, each once."""
    found: dict[str, None] = {}
    for method in chain:
        found |= dict.fromkeys(method.backbones())
    return list(found)


def _info(
    plan: SuitePlan,
    row: Row,
    backbone: str,
    task_name: str,
    links: Sequence[Link],
    task: Task,
    budget: Budget,
    device: str,
) -> CellInfo:
    first, *then = links
    return CellInfo(
        suite=plan.suite,
        suite_version=suite(plan.suite).version,
        task=task_name,
        task_version=task.version,
        group=task.group,
        method=first.method,
        label=row.label,
        config=first.config,
        backbone=backbone,
        seed=0,
        budget=budget_fields(budget),
        dtype=fast_dtype(device) if plan.dtype == "auto" else plan.dtype,
        then=then,
    )
