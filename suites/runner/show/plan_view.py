"""What `plan` says: the matrix of cells of a profile, with the state of each in the result folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from sparsebench.reports.records.record import Link

from ..documents import CellDocument, LinkDocument, PlanDocument
from ..planning.plan import Planned
from ..planning.profile import Profile


def plan_document(profile: Profile, folder: Path) -> PlanDocument:
    """The cells with their states, and the time that the rest will take. Raises `UsageError`."""
    from sparsebench.reports.records.index.collector import no_collection

    with no_collection():
        return _document(profile, folder)


def _document(profile: Profile, folder: Path) -> PlanDocument:
    from sparsebench.reports.records.index.database import Index
    from sparsebench.reports.records.store import MARKER, Store
    from sparsebench.reports.records.vouchers import CodePath, Vouchers

    from ..execution.placement import default_workers
    from ..planning.durations import Durations
    from ..planning.plan import compare, count_states, expand, to_run

    entries = []
    covered: set[CodePath] = set()
    if (folder / MARKER).exists():
        with Index(Store(folder).open()) as index:
            entries = index.entries
        covered = Vouchers(folder).covered()
    planned = compare(expand(profile), entries, covered)
    workers = default_workers(1)
    return {
        "schema": "sparsebench/plan/1",
        "profile": profile.name,
        "folder": str(folder),
        "cells": [_cell(entry) for entry in planned],
        "states": {state: count for state, count in sorted(count_states(planned).items())},
        "workers": workers,
        "seconds": Durations.of(entries).remaining([cell.info for cell in to_run(planned, "vouched")], workers),
    }


def _cell(entry: Planned) -> CellDocument:
    cell = entry.cell
    info = cell.info
    return {
        "id": cell.id,
        "key": cell.key,
        "state": entry.state,
        "reason": cell.reason,
        "suite": info.suite,
        "task": info.task,
        "group": info.group,
        "label": info.label,
        "chain": [{"method": info.method, "config": info.config}, *map(_link, info.then)],
        "backbone": info.backbone,
        "further_backbones": info.further_backbones,
        "seed": info.seed,
        "budget": info.budget,
        "dtype": info.dtype,
        "device": cell.device,
    }


def _link(link: Link) -> LinkDocument:
    return {"method": link.method, "config": link.config}


def plan_text(plan: PlanDocument) -> str:
    """The document for people: a line for each cell, and a last one with the sums."""
    from sparsebench.reports.tables.formatting import counted

    from ..planning.durations import clock

    lines = [f"{cell['state']:<8} {_title(cell)}{_why(cell['reason'])}" for cell in plan["cells"]]
    states = ", ".join(f"{count} {state}" for state, count in plan["states"].items())
    seconds = plan["seconds"]
    time = "unknown (no earlier cell to judge by)" if seconds is None else f"about {clock(seconds)}"
    if not plan["cells"]:
        return f"0 cells in {plan['folder']}: no task of this choice has a row of it."
    lines += _random(plan["cells"])
    cells = counted(len(plan["cells"]), "cell")
    return "\n".join([*lines, f"{cells} in {plan['folder']}: {states}. Time to run the rest: {time}."])


def _random(cells: Sequence[CellDocument]) -> Iterator[str]:
    """A line for each backbone that a file of weights could be named for, and none is."""
    from ..discovery.registry import find
    from ..identity.weights import weight_files

    named = {(cell["suite"], name) for cell in cells for name in (cell["backbone"], *cell["further_backbones"])}
    for suite, backbone in sorted(named):
        entry = find("backbone", backbone, suite)
        takes_weights = entry.constant("RANDOM_WEIGHTS", False) and entry.constant("NEEDS_ARGUMENT", False)
        if takes_weights and not weight_files(backbone):
            yield f"{backbone} has random weights: {entry.name}:NAME@FILE reads them from a file."


def _title(cell: CellDocument) -> str:
    backbones = " with ".join([cell["backbone"], *cell["further_backbones"]])
    return f"{cell['suite']}/{cell['task']} {cell['label']} on {backbones} seed {cell['seed']}"


def _why(reason: str | None) -> str:
    return f": {reason}" if reason else ""
