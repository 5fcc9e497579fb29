"""`plan`, `prepare` and `run`: what there is to do, and doing it."""

from typing import Annotated

import typer

from ..interrupts import INTERRUPTED, end_in_order
from .options import (
    WHERE,
    AddressOption,
    BackboneOption,
    DeviceOption,
    DtypeOption,
    ExecutorOption,
    JsonOption,
    LeaseOption,
    LimitOption,
    LogFolderOption,
    MemoryOption,
    MethodOption,
    OutOption,
    ProfileOption,
    ReuseChoice,
    ReuseOption,
    SeedsOption,
    SetOption,
    SuiteOption,
    TaskOption,
    TrackerOption,
    WorkersOption,
)
from .output import announce, print_json, say
from .selection import Request, check_device, only, select


def plan(
    context: typer.Context,
    profile: ProfileOption = "quick",
    suite: SuiteOption = None,
    method: MethodOption = None,
    task: TaskOption = None,
    backbone: BackboneOption = None,
    seeds: SeedsOption = None,
    limit: LimitOption = None,
    set_: SetOption = None,
    dtype: DtypeOption = None,
    device: DeviceOption = "auto",
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The matrix of cells: done, vouched, missing, stale, n/a, and the time it will take. Runs nothing."""
    announce(f"planning {profile}", err=True)
    request = _request(context, profile, suite, method, task, backbone, seeds, limit, set_, dtype, device)
    selection = select(request, out)
    _say(selection.notes)
    from ..show.plan_view import plan_document, plan_text

    document = plan_document(selection.profile, selection.folder)
    if json:
        print_json(document)
    else:
        say(plan_text(document))


def prepare(
    context: typer.Context,
    profile: ProfileOption = "quick",
    suite: SuiteOption = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only this data source, whatever the profile (may be repeated).")
    ] = None,
) -> None:
    """Download and verify everything that a profile needs, and make what its tasks derive from it (training text).

    What is broken in the cache is mended.
    """
    from sparsebench.data.sources import prepare as prepare_sources

    end_in_order()
    if source:
        prepare_sources(source, say)
        return
    announce(f"looking up what {profile} needs")
    from ..identity.weights import mend_hub
    from ..planning.plan import expand_fetched
    from ..prepare import check_data, derive_data

    cells = expand_fetched(select(Request(profile=profile, suites=only(context, suite))).profile)
    mend_hub(cell.weights for cell in cells)
    prepare_sources(sorted({name for cell in cells for name in cell.sources}), say)
    check_data(cells, say)
    derive_data(cells, say)


def run(
    context: typer.Context,
    profile: ProfileOption = "quick",
    suite: SuiteOption = None,
    method: MethodOption = None,
    task: TaskOption = None,
    backbone: BackboneOption = None,
    seeds: SeedsOption = None,
    limit: LimitOption = None,
    set_: SetOption = None,
    dtype: DtypeOption = None,
    device: DeviceOption = "auto",
    out: OutOption = None,
    reuse: ReuseOption = ReuseChoice.vouched,
    workers: WorkersOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each worker.", rich_help_panel=WHERE)] = 1,
    memory: MemoryOption = None,
    share_workers: Annotated[
        bool,
        typer.Option(
            "--share-workers",
            help="Cells under a second share processes; one in a hundred is run again alone.",
            rich_help_panel=WHERE,
        ),
    ] = False,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    lease: LeaseOption = 30.0,
    log_with: TrackerOption = None,
    log_dir: LogFolderOption = None,
) -> None:
    """Run what is missing. The same command goes on after any interruption; exit code 1 if a cell has no score."""
    announce(f"planning {profile}")
    request = _request(context, profile, suite, method, task, backbone, seeds, limit, set_, dtype, device)
    selection = select(request, out)
    _say(selection.notes)
    if executor == "local":
        check_device(device)
    from ..console import open_console
    from ..execution.executors.interface import Options
    from ..execution.placement import default_workers
    from ..execution.trackers import Trackers
    from ..run import run as run_profile

    trackers = Trackers(log_with or (), log_dir or selection.folder / "logs") if log_with else None
    place = selection.profile.device if device == "auto" else device
    bound = None if memory is None else int(memory * 2**30)
    options = Options(
        workers=workers or default_workers(threads, place),
        threads=threads,
        memory=bound,
        share_workers=share_workers,
        executor=executor,
        address=address,
        lease=lease,
        device=place,
    )
    try:
        code = run_profile(selection.profile, selection.folder, options, reuse.value, open_console(), trackers)
    except KeyboardInterrupt:
        say("sparsebench: stopped; the same command goes on from here", err=True)
        code = INTERRUPTED
    raise typer.Exit(code)


def _request(
    context: typer.Context,
    profile: str,
    suite: list[str] | None,
    method: list[str] | None,
    task: list[str] | None,
    backbone: list[str] | None,
    seeds: int | None,
    limit: int | None,
    settings: list[str] | None,
    dtype: str | None,
    device: str,
) -> Request:
    return Request(
        profile=profile,
        suites=only(context, suite),
        methods=tuple(method or ()),
        tasks=tuple(task or ()),
        backbones=tuple(backbone or ()),
        settings=tuple(settings or ()),
        seeds=seeds,
        limit=limit,
        dtype=dtype,
        device=device,
    )


def _say(notes: tuple[str, ...]) -> None:
    for note in notes:
        say(note, err=True)
