"""The conformance battery of suites: what they say of themselves, their profiles, and one cell that runs for real."""

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sparsebench.data.manifest import catalogue
from sparsebench.data.own_files import is_own_file
from sparsebench.reports.records.store import Store

from ..discovery.loading import load_task
from ..discovery.registry import entries, suite
from ..execution.executors.interface import Options
from ..identity.cell import Cell
from ..identity.fingerprint import installed
from ..planning.plan import expand
from ..planning.profile import Profile, SuitePlan, built_in, load_profile
from ..run import run
from .methods import NonconformingError, require

DEFAULT = "quick"
"""The profile that `run` takes unless it is told another one."""
SMOKE = "smoke"


def contract(name: str) -> str:
    """Tasks that can be made, backbones that can be read, sources that exist, libraries that are installed."""
    about = suite(name)
    for field in ("version", "title", "description", "unit"):
        require(bool(getattr(about, field)), f"{field} of SUITE says nothing")
    missing = [library for library in about.libraries if installed(library) == "absent"]
    require(not missing, f"these libraries are not installed: {', '.join(missing)}")
    tasks, backbones = entries("task", name), entries("backbone", name)
    require(bool(tasks) and bool(backbones), "it needs a task and a backbone")
    known = catalogue()
    for entry in (*tasks.values(), *backbones.values()):
        entry.check()
        unknown = [source for source in entry.sources if source not in known and not is_own_file(source)]
        require(not unknown, f"{entry.name} names a source that there is not: {', '.join(unknown)}")
    for entry in tasks.values():
        require(bool(load_task(entry).version), f"the task {entry.name} has no version")
    return f"{len(tasks)} tasks, {len(backbones)} backbones"


def profiles(name: str) -> str:
    """The default profile has the baseline as a row; all profiles are read, and other baselines are rows of some."""
    found = [profile for profile, owners in built_in().items() if name in owners]
    require(DEFAULT in found, f"it has no profile {DEFAULT!r}, which `run` takes")
    plans = {profile: _plan(profile, name) for profile in found}
    for profile, plan in plans.items():
        for task in plan.tasks:
            require(task.name in entries("task", name), f"the profile {profile} has an unknown task {task.name!r}")
    labels = {row.label for plan in plans.values() for row in plan.methods}
    wanted = {suite(name).baseline, *suite(name).group_baselines.values()}
    require(wanted <= labels, f"no profile has the baseline {', '.join(sorted(wanted - labels))} as a row")
    require(suite(name).baseline in {row.label for row in plans[DEFAULT].methods}, f"{DEFAULT} lacks the baseline")
    return ", ".join(found)


def _plan(profile: str, name: str) -> SuitePlan:
    (plan,) = load_profile(profile, [name]).plans
    return plan


def cell(name: str) -> str:
    """One cell in worker processes, twice: equal to the bit. The same command again runs nothing, changes nothing."""
    profile, one = smoke_cell(name)
    with _folders(2) as (first, second):
        scores = _run(profile, one, first)
        record = Store(first).records / f"{one.id}.json"
        before = record.stat().st_mtime_ns, record.read_bytes()
        _run(profile, one, first)
        require(before == (record.stat().st_mtime_ns, record.read_bytes()), "it ran again though its record is there")
        require(_run(profile, one, second) == scores, "two runs with one seed give other scores")
    return one.title


def smoke_cell(name: str) -> tuple[Profile, Cell]:
    """The first cell of the profile `smoke`, or else of the default, that can run; and a profile of it alone.

    What needs no data comes first. Raises `NonconformingError` where there is none.
    """
    owners = built_in()
    profile = load_profile(SMOKE if name in owners.get(SMOKE, ()) else DEFAULT, [name])
    runnable = [cell for cell in expand(profile) if cell.reason is None]
    if not runnable:
        raise NonconformingError(f"no cell of the profile {profile.name} can run")
    one = min(runnable, key=lambda cell: len(cell.sources))
    (plan,) = profile.plans
    small = replace(
        plan,
        methods=tuple(row for row in plan.methods if row.label == one.info.label),
        tasks=tuple(task for task in plan.tasks if task.name == one.info.task),
        backbones=(one.info.backbone,),
        seeds=1,
        claims=(),
    )
    small_profile = replace(profile, plans=(small,))
    found = [cell for cell in expand(small_profile) if cell.reason is None]
    return small_profile, found[0]


def _run(profile: Profile, one: Cell, folder: Path) -> Mapping[str, Any]:
    """The scores and the outcomes by example of a cell after its run."""
    said = io.StringIO()
    code = run(profile, folder, Options(workers=1), "exact", Console(file=said, width=200))
    require(code == 0, f"the run ends with code {code}: {' '.join(said.getvalue().split())}")
    store = Store(folder)
    metrics = store.read(one.id).metrics
    return {"metrics": metrics, "examples": store.read_examples(one.id)}


@contextmanager
def _folders(count: int) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield [Path(folder) / str(number) for number in range(count)]


BATTERY: tuple[Callable[[str], str], ...] = (contract, profiles, cell)
