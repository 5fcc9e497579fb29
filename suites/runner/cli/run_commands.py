"""`plan`, `prepare` and `run`: what there is to do, and doing it."""

from typing import Annotated

import typer

from .options import (
    AddressOption,
    BackboneOption,
    ExecutorOption,
    LeaseOption,
    MethodOption,
    OutOption,
    ProfileOption,
    ReuseChoice,
    ReuseOption,
    SeedsOption,
    SlurmOption,
    SuiteOption,
    TaskOption,
)
from .selection import default_out, only, selected


def plan(
    context: typer.Context,
    profile: ProfileOption = "quick",
    suite: SuiteOption = None,
    method: MethodOption = None,
    task: TaskOption = None,
    backbone: BackboneOption = None,
    seeds: SeedsOption = None,
    out: OutOption = None,
) -> None:
    """The matrix of cells: done, missing, stale, n/a, and the time it will take. Runs nothing."""
    from ..listing import plan_text

    chosen = selected(profile, only(context, suite), method, task, backbone, seeds)
    typer.echo(plan_text(chosen, out or default_out(profile)))


def prepare(
    context: typer.Context,
    profile: ProfileOption = "quick",
    suite: SuiteOption = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only this data source, whatever the profile (may be repeated).")
    ] = None,
) -> None:
    """Download and verify everything that a profile needs; what is broken in the cache is mended."""
    from sparsebench.data.sources import prepare as prepare_sources

    from ..identity.weights import mend_hub
    from ..planning.plan import expand_fetched

    names = source
    if not names:
        cells = expand_fetched(selected(profile, only(context, suite)))
        mend_hub(cell.weights for cell in cells)
        names = sorted({name for cell in cells for name in cell.sources})
    prepare_sources(names, typer.echo)


def run(
    context: typer.Context,
    profile: ProfileOption = "quick",
    suite: SuiteOption = None,
    method: MethodOption = None,
    task: TaskOption = None,
    backbone: BackboneOption = None,
    seeds: SeedsOption = None,
    out: OutOption = None,
    reuse: ReuseOption = ReuseChoice.missing,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes (as many as cores and memory carry).")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    memory: Annotated[float | None, typer.Option(min=0.5, help="Bound on one worker's memory, in GiB.")] = None,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    lease: LeaseOption = 30.0,
    slurm: SlurmOption = None,
) -> None:
    """Run what is missing. The same command goes on after any interruption; exit code 1 if a cell has no score."""
    from ..console import open_console
    from ..execution.environment import default_workers
    from ..execution.executors.interface import Options
    from ..run import run as run_profile

    chosen = selected(profile, only(context, suite), method, task, backbone, seeds)
    limit = None if memory is None else int(memory * 2**30)
    options = Options(
        workers=workers or default_workers(threads),
        threads=threads,
        memory=limit,
        executor=executor,
        address=address,
        lease=lease,
        slurm=slurm,
    )
    try:
        code = run_profile(chosen, out or default_out(profile), options, reuse.value, open_console())
    except KeyboardInterrupt:
        typer.echo("sparsebench: stopped; the same command goes on from here", err=True)
        code = 130
    raise typer.Exit(code)
