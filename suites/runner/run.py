"""A whole run: plan, run what is missing, say how it went."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from rich.console import Console

from sparsebench.data.errors import DataError
from sparsebench.data.sources import fetch_missing
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.store import MARKER, RECORDS, Store
from sparsebench.reports.records.sums import forget, seal
from sparsebench.reports.records.vouchers import Vouchers
from sparsebench.reports.tables.formatting import counted

from .execution.execute import End, write_not_applicable
from .execution.executors.choice import ELSEWHERE, check_choice, hold, open_executor
from .execution.executors.interface import Ended, Options
from .execution.executors.leases.description import describe
from .execution.executors.leases.membership import Membership
from .execution.progress import Display
from .execution.trackers import Trackers
from .identity.cell import Cell
from .planning.by_need import grown, said
from .planning.durations import Durations, clock
from .planning.plan import Reuse, compare, expand, expand_fetched, to_run
from .planning.plan_file import write_plan
from .planning.profile import Profile
from .prepare import check_backbones, check_data, nothing_but_unfetched, refuse_without_own_data
from .results.readings import open_readings

TICK_SECONDS = 0.5
"""How often the display moves while nothing happens."""
OLDER = "of older code"
"""What is said of cells whose record other code made, where that is good enough (`--reuse always`)."""
VOUCHED = "vouched"
"""What is said of those that hold at this code (`--reuse vouched`)."""


def run(
    profile: Profile, folder: Path, options: Options, reuse: Reuse, console: Console, trackers: Trackers | None = None
) -> int:
    """Run the profile into the result folder; returns the exit code: 0, or 1 if any of its cells has no score.

    A profile that adds seeds by need is run look by look, until each claim stands or its budget is used up.

    Before any cell runs, raises `DataError` where a file or folder of the user's is not what a task needs, or each cell
    needs a model that is no folder and cannot be fetched; `UsageError` where no cell can run without such a file, or
    backbones that a row names together do not go together.
    """
    code = _run(profile, folder, options, reuse, console, trackers)
    while any(plan.looks for plan in profile.plans):
        with open_readings([folder]) as reading:
            findings = reading.findings
        more = grown(profile, findings)
        console.print(said(more, findings), highlight=False)
        if more == profile:
            break
        profile = more
        code = _run(profile, folder, options, reuse, console, trackers)
    return code


def _run(
    profile: Profile, folder: Path, options: Options, reuse: Reuse, console: Console, trackers: Trackers | None
) -> int:
    check_choice(options)
    try:
        cells = expand_fetched(profile)
    except DataError as error:
        cells = expand(profile)
        if nothing_but_unfetched(cells):
            raise
        console.print(str(error), style="yellow", highlight=False, soft_wrap=True)  # its cells will say so, too
    refuse_without_own_data(cells)
    folder = folder.resolve()
    store = Store(folder)
    new = not (folder / MARKER).exists()
    if new:  # before anything is made, so that nothing is left of a run that is refused
        _check(to_run(compare(cells, ()), reuse), console)
    store.create()

    def say(line: str) -> None:
        console.print(line, style="yellow", soft_wrap=True)

    with hold(folder, options, lambda: describe(profile.name, reuse, cells), say) as membership:
        store.sweep(membership.settled_seconds)
        with Index(store) as index:
            entries, problems = index.entries, index.problems
        for problem in problems:
            console.print(f"skipped {problem.path.name}: {problem.reason}", style="yellow", highlight=False)
        planned = compare(cells, entries, Vouchers(folder).covered() if reuse == "vouched" else ())
        waiting = to_run(planned, reuse)
        if not new:
            _check(waiting, console)
        scored = {entry.key for entry in entries if entry.status == "ok"} if reuse == "always" else set()
        kept = {each.cell.id: OLDER for each in planned if each.state == "stale" and each.cell.key in scored}
        kept |= {each.cell.id: VOUCHED for each in planned if each.state == "vouched"}
        before = {entry.id: End(entry.id, entry.status, entry.reason, entry.seconds) for entry in entries}
        before |= write_not_applicable(cells, before.keys(), store)
        write_plan(profile, cells, folder, reuse, {each.cell.id: each.kept for each in planned if each.kept})
        console.print(
            f"{counted(len(cells), 'cell')}, {len(waiting)} to run, {counted(options.workers, 'worker')}, "
            f"results in {folder}",
            soft_wrap=True,
        )
        if options.executor not in ELSEWHERE:
            _fetch(waiting, console)
        log = _logger(trackers, store, console)
        made = {cell.id for cell in waiting}
        forget(store, made)
        ended, wall = run_cells(waiting, Durations.of(entries), folder, options, membership, console, log)
        seal(store, made)
    return _finish(cells, before, kept, ended, wall, options.workers, console)


def _check(waiting: Sequence[Cell], console: Console) -> None:
    check_data(waiting, console.print)
    check_backbones(waiting, console.print)


def _fetch(waiting: Sequence[Cell], console: Console) -> None:
    """What cells would fetch one after the other, each at the cost of its own time limit."""
    names = sorted({name for cell in waiting for name in cell.sources})
    fetch_missing(names, lambda line: console.print(line, highlight=False, soft_wrap=True))


def run_cells(
    waiting: Sequence[Cell],
    durations: Durations,
    folder: Path,
    options: Options,
    membership: Membership,
    console: Console,
    log: Callable[[Ended], None],
) -> tuple[list[Ended], float]:
    """Run the cells and show it; the folder is held. Returns how each ended, and the seconds that all of it took."""
    start = perf_counter()
    ended: list[Ended] = []
    if not waiting:
        return ended, 0.0
    display = Display(console, waiting, durations, options.workers)
    with display, open_executor(folder, options, membership) as executor:
        executor.submit(waiting)
        while len(ended) < len(waiting):
            membership.check()
            events = executor.events(TICK_SECONDS)
            display.update(events)
            for event in events:
                if isinstance(event, Ended):
                    ended.append(event)
                    log(event)
    return ended, perf_counter() - start


def _logger(trackers: Trackers | None, store: Store, console: Console) -> Callable[[Ended], None]:
    """Logs the record of a cell that this run has ended; what a tracker did not take is said."""

    def log(event: Ended) -> None:
        if trackers is not None and not event.elsewhere:
            for problem in trackers.log(store.read(event.end.id)):
                console.print(problem, style="yellow", soft_wrap=True)

    return log


def _finish(
    cells: Sequence[Cell],
    before: Mapping[str, End],
    kept: Mapping[str, str],
    ended: Sequence[Ended],
    wall: float,
    workers: int,
    console: Console,
) -> int:
    """Say how the run went. `before` is what was there when it began, `ended` what it did.

    `kept` are the cells for which a score of other code was kept, each with what is said of it.
    """
    ends = {**before, **{event.end.id: event.end for event in ended}}
    found = [(cell, ends.get(cell.id)) for cell in cells]
    states: Counter[str] = Counter()
    for cell, end in found:
        states[kept.get(cell.id, "missing") if end is None else end.status] += 1
    here = [event.end for event in ended if not event.elsewhere]
    if here:
        inside = sum(end.seconds for end in here) / (wall * workers)
        console.print(
            f"ran {counted(len(here), 'cell')} in {clock(wall)}; the workers were inside cells {inside:.0%} of it"
        )
    if len(ended) > len(here):
        console.print(f"{counted(len(ended) - len(here), 'cell')} ended in other processes")
    console.print(", ".join(f"{count} {status}" for status, count in sorted(states.items())))
    for cell, end in found:
        if end is not None and end.status not in ("ok", "n/a"):
            console.print(f"{end.status}: {cell.title}: {end.reason}", style="red", highlight=False, soft_wrap=True)
    failed = [end.id for _, end in found if end is not None and end.status == "failed"]
    if failed:
        console.print(f"their tracebacks are in their records: {RECORDS}/{failed[0]}.json", soft_wrap=True)
    if states.keys() == {"n/a"}:
        for reason in dict.fromkeys(end.reason for _, end in found if end is not None):
            console.print(f"nothing to score: {reason}", style="red", highlight=False, soft_wrap=True)
        return 1
    return 0 if states.keys() <= {"ok", "n/a", OLDER, VOUCHED} else 1
