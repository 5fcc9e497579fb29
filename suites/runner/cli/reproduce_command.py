"""`reproduce`: every table of the papers, what it takes to make it again, and ours beside theirs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..interrupts import INTERRUPTED, end_in_order
from .options import (
    DeviceOption,
    JsonOption,
    LimitOption,
    MethodOption,
    OutOption,
    SeedsOption,
    SetOption,
    TaskOption,
    WorkersOption,
)
from .output import announce, print_json, say
from .selection import RESULTS, Request, check_device, select

if TYPE_CHECKING:
    from ..planning.profile import Profile
    from ..show.reproduction.chosen import Chosen
    from ..show.reproduction.documents import TableDocument
    from ..show.reproduction.plan import Plan

VISION = "vtab-1k"
"""The source whose images are decoded before cells run."""


def reproduce(
    table: Annotated[str | None, typer.Argument(help="Its name; without one, all tables are listed.")] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            "--weights",
            "-c",
            metavar="[NAME=]PLACE",
            help="A folder or file of weights (may be repeated).",
        ),
    ] = None,
    network: Annotated[
        str, typer.Option(metavar="NAME[:PIXELS]", help="Another network of timm than the paper's, at another size.")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="The folder of data that the table reads.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run it, where it needs no checkpoint.")] = False,
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="Run it with a small model in the place of the paper's.")
    ] = False,
    reckon: Annotated[
        bool, typer.Option("--reckon", help="VTAB-1K: time a step of each row, say how long all would take, and stop.")
    ] = False,
    decode: Annotated[
        bool, typer.Option(help="VTAB-1K: decode all images once, into the cache, before anything trains.")
    ] = True,
    method: MethodOption = None,
    task: TaskOption = None,
    limit: LimitOption = None,
    seeds: SeedsOption = None,
    settings: SetOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The tables of the papers: published figures, what making them again takes, and ours beside them.

    Without a table: the list. With one: its figures, needs, state and commands. With --checkpoint or --run it runs.
    """
    from ..errors import UsageError
    from ..show.reproduction.chosen import use_data
    from ..show.reproduction.describe import reproduce_document, table_text, tables_text
    from ..show.reproduction.plan import plan_of, plans

    if table is None and not json:
        return say(tables_text())
    document = reproduce_document([table] if table else plans().plans)
    code = 0
    if table and (checkpoint or run or stand_in or data):
        plan, chosen = plan_of(table), _chosen(table, checkpoint or [], stand_in, network)
        folder = out or RESULTS / "-".join(["reproduce", table, *(["stand-in"] if stand_in else [])])
        request = _request(plan, chosen, method, task, limit, seeds, device, settings)
        use_data(plan, data)
        announce(f"planning {plan.profile}", err=True)
        profile = select(request, folder).profile
        check_device(request.device)
        if plan.data == VISION:
            _before(profile, request.device, decode, reckon)
        elif reckon:
            raise UsageError("--reckon times tables of VTAB-1K alone; the hours of this one are by arithmetic")
        if not reckon:
            code = _run(profile, request.device, folder, workers)
            _compare(document["tables"][0], chosen, folder, json)
    elif not json:
        say(table_text(document["tables"][0]))
    if json:
        print_json(document)
    raise typer.Exit(code)


def _chosen(table: str, checkpoints: list[str], stand_in: bool, network: str) -> "Chosen":
    from ..errors import UsageError
    from ..show.reproduction import chosen
    from ..show.reproduction.plan import plan_of

    if not stand_in:
        return chosen.choose(table, plan_of(table), checkpoints, network)
    if checkpoints or network:
        raise UsageError("--stand-in runs without a checkpoint and --network: leave one of the two out")
    return chosen.stand_in(table, plan_of(table))


def _request(
    plan: "Plan",
    chosen: "Chosen",
    methods: list[str] | None,
    tasks: list[str] | None,
    limit: int | None,
    seeds: int | None,
    device: str,
    settings: list[str] | None,
) -> Request:
    named = [one for name in tasks or () for one in plan.columns.get(name, (name,))]  # as the paper calls them, too
    return Request(
        profile=plan.profile,
        suites=(plan.suite,),
        methods=tuple(methods or chosen.methods),
        tasks=tuple(named or chosen.tasks),
        backbones=chosen.backbones,
        settings=(*chosen.settings, *(settings or ())),
        seeds=seeds or chosen.seeds,
        limit=limit or chosen.limit,
        device=device,
    )


def _before(profile: "Profile", device: str, decode: bool, reckon: bool) -> None:
    """Images are decoded and steps timed before any cell runs; the lines go to stderr."""
    from functools import partial

    from ..identity.device import device_kind
    from ..identity.machine import cores
    from ..planning.plan import expand
    from ..show.reproduction import vision

    tell = partial(say, err=True)
    cells = expand(profile)
    if decode:
        vision.decode_images(cells, cores(), tell)
    if reckon:
        vision.reckon(cells, cores(), device_kind() if device == "auto" else device, tell)


def _run(profile: "Profile", device: str, folder: Path, workers: int | None) -> int:
    """Run the part of the profile; what it says goes to stderr, since the tables are what was asked for."""
    from ..console import open_console
    from ..execution.executors.interface import Options
    from ..execution.placement import default_workers
    from ..run import run

    place = profile.device if device == "auto" else device
    options = Options(workers=workers or default_workers(1, place), device=place)
    end_in_order()
    try:
        return run(profile, folder, options, "vouched", open_console(sys.stderr))
    except KeyboardInterrupt:
        say("sparsebench: stopped; the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _compare(document: "TableDocument", chosen: "Chosen", folder: Path, json: bool) -> None:
    """Ours beside the paper's, printed and put into the document."""
    from ..show.reproduction.describe import block_document, comparison_text
    from ..show.reproduction.results import compare_folder

    blocks = compare_folder(document["id"], chosen, folder)
    document["folder"] = str(folder)
    document["comparison"] = [block_document(block) for block in blocks]
    if not json:
        say(comparison_text(blocks, document["unknown"], document["differs"]))
