"""From a profile to cells, by importing the methods and tasks that it names (and torch with them)."""

import dataclasses
from collections.abc import Iterator

from sparsebench.reports.record import CellInfo

from ..discovery.loading import budget_fields, load_budget, load_method, load_task
from ..discovery.registry import find, suite
from ..identity.cell import Cell, cell_key, entry_sources
from ..identity.device import device_kind
from ..identity.fingerprint import code_hash, installed
from .profile import Profile, Row, SuitePlan, TaskRow


def cells_of(profile: Profile) -> Iterator[Cell]:
    """All cells, those of one row, backbone and seed side by side. Raises `UsageError`."""
    for plan in profile.plans:
        for row in plan.methods:
            for backbone in row.backbones or plan.backbones:
                yield from _by_seed(plan, row, backbone)


def _by_seed(plan: SuitePlan, row: Row, backbone: str) -> Iterator[Cell]:
    tasks = [task for task in plan.tasks if not task.rows or row.label in task.rows]
    per_task = [list(_seeds(plan, row, backbone, task)) for task in tasks]
    for seed in range(plan.seeds):
        for cells in per_task:
            yield from (cell for cell in cells if cell.info.seed == seed)


def _seeds(plan: SuitePlan, row: Row, backbone: str, task_row: TaskRow) -> Iterator[Cell]:
    about = suite(plan.suite)
    entries = (
        find("method", row.name),
        find("task", task_row.name, plan.suite),
        find("backbone", backbone, plan.suite),
    )
    method = load_method(entries[0], row.config)
    task = load_task(entries[1])
    known = entries[2].backbone(backbone)
    reason = method.unsupported(type(task), known) or task.unsupported(known)
    sources = entry_sources(entries)
    versions = {name: installed(name) for name in about.libraries}
    code = code_hash(entries, versions, device_kind())
    several = method.stochastic or task.draws or entries[2].constant("RANDOM_WEIGHTS", False)
    seeds = 1
    if several and not reason:
        seeds = task_row.seeds or plan.seeds
    for seed in range(seeds):
        info = CellInfo(
            suite=plan.suite,
            suite_version=about.version,
            task=task_row.name,
            task_version=task.version,
            group=task.group,
            method=row.name,
            label=row.label,
            config=dataclasses.asdict(method),
            backbone=backbone,
            seed=seed,
            budget=budget_fields(load_budget(plan.budget, task_row.budget)),
            dtype=plan.dtype,
        )
        yield Cell(
            info=info,
            key=cell_key(info, sources),
            code=code,
            device=device_kind(),
            timeout=plan.timeout,
            sources=sources,
            reason=reason,
        )
