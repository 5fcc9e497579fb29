"""A whole run: plan, run what is missing, say how it went."""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from rich.console import Console

from sparsebench.data.errors import DataError
from sparsebench.reports.claims import Claim
from sparsebench.reports.dataframe import newest
from sparsebench.reports.record import Record
from sparsebench.reports.store import Store

from .discovery.validation import build
from .errors import UsageError
from .execution.execute import End, failure, now
from .execution.executors.choice import check_choice, hold, open_executor
from .execution.executors.interface import Ended, Options
from .execution.executors.leases.description import describe
from .execution.executors.leases.membership import Membership
from .execution.progress import Display
from .identity.cell import Cell
from .planning.durations import Durations, clock
from .planning.plan import Reuse, compare, expand, expand_fetched, to_run
from .planning.profile import Profile

PLAN_FILE = "plan.json"
TICK_SECONDS = 0.5
"""How often the display moves while nothing happens."""


def run(profile: Profile, folder: Path, options: Options, reuse: Reuse, console: Console) -> int:
    """Run the profile into the result folder; returns the exit code: 0, or 1 if any of its cells has no score."""
    check_choice(options)
    try:
        cells = expand_fetched(profile)
    except DataError:  # the cells of a backbone that cannot be fetched will say so
        cells = expand(profile)
    store = Store(folder).create()
    with hold(folder, options, lambda: describe(profile.name, reuse, cells)) as membership:
        store.sweep(membership.settled_seconds)
        records, problems = store.read_all()
        for problem in problems:
            console.print(f"skipped {problem.path.name}: {problem.reason}", style="yellow", highlight=False)
        waiting = to_run(compare(cells, records), reuse)
        _write_not_applicable(cells, records, store)
        write_plan(profile, cells, folder, reuse)
        console.print(f"{len(cells)} cells, {len(waiting)} to run, {options.workers} workers, results in {folder}")
        ended, wall = _run_all(waiting, records, folder, options, membership, console)
    return _finish(cells, store, ended, wall, options.workers, console)


def _run_all(
    waiting: Sequence[Cell],
    records: Sequence[Record],
    folder: Path,
    options: Options,
    membership: Membership,
    console: Console,
) -> tuple[list[End], float]:
    start = perf_counter()
    ends: list[End] = []
    if not waiting:
        return ends, 0.0
    display = Display(console, waiting, Durations(records), options.workers)
    with display, open_executor(folder, options, membership) as executor:
        executor.submit(waiting)
        while len(ends) < len(waiting):
            membership.check()
            events = executor.events(TICK_SECONDS)
            ends += [event.end for event in events if isinstance(event, Ended)]
            display.update(events)
    return ends, perf_counter() - start


def _write_not_applicable(cells: Sequence[Cell], records: Sequence[Record], store: Store) -> None:
    """Pairs that cannot run are records, too: the table shows their reason."""
    known = {record.id for record in records}
    for cell in cells:
        if cell.reason and cell.id not in known:
            store.write(failure(cell, "n/a", cell.reason, started=now()), None)


def write_plan(profile: Profile, cells: Sequence[Cell], folder: Path, reuse: Reuse) -> None:
    """Note which records belong to the latest plan of each suite, in the order of the table's rows, and its claims."""
    plan = read_plan(folder)
    for suite_plan in profile.plans:
        plan[suite_plan.suite] = {
            "profile": profile.name,
            "reuse": reuse,
            "cells": [[cell.id, cell.key] for cell in cells if cell.info.suite == suite_plan.suite],
            "claims": [dataclasses.asdict(claim) for claim in suite_plan.claims],
        }
    temporary = folder / f".{PLAN_FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(plan), encoding="utf-8")
    temporary.replace(folder / PLAN_FILE)


def read_plan(folder: Path) -> dict:
    """The latest plan of each suite: {suite: {profile, reuse, cells: [[id, key], ...], claims}}; empty without one."""
    path = folder / PLAN_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        raise UsageError(f"{path} is not readable: remove it, then give the `run` command again") from None


def planned_records(records: Sequence[Record], folder: Path) -> list[Record]:
    """The records of the latest plan, in its order; without a plan, the newest record of each key.

    A run with `reuse` always or only also shows a record that older code made of the same cell.
    """
    plan = read_plan(folder)
    current, _ = newest(records)
    if not plan:
        return current
    by_id = {record.id: record for record in records}
    found = []
    for part in plan.values():
        older = {record.key: record for record in current} if part["reuse"] in ("always", "only") else {}
        found += [by_id.get(id_) or older.get(key) for id_, key in part["cells"]]
    return [record for record in found if record is not None]


def planned_claims(folder: Path) -> list[Claim]:
    """The claims of the latest plan."""
    return [build(Claim, claim, "plan") for part in read_plan(folder).values() for claim in part.get("claims", ())]


def _finish(
    cells: Sequence[Cell], store: Store, ended: Sequence[End], wall: float, workers: int, console: Console
) -> int:
    records = {record.id: record for record in store.read_all()[0]}
    states = Counter(records[cell.id].status if cell.id in records else "missing" for cell in cells)
    if ended:
        inside = sum(one.seconds for one in ended) / (wall * workers)
        console.print(f"ran {len(ended)} cells in {clock(wall)}; the workers were inside cells {inside:.0%} of it")
    console.print(", ".join(f"{count} {status}" for status, count in sorted(states.items())))
    for cell in cells:
        record = records.get(cell.id)
        if record is not None and record.status not in ("ok", "n/a"):
            console.print(
                f"{record.status}: {cell.title}: {record.reason}", style="red", highlight=False, soft_wrap=True
            )
    return 0 if states.keys() <= {"ok", "n/a"} else 1
