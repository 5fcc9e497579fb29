"""`reproduce`: every table of the papers, what it takes to make it again, and ours beside theirs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..interrupts import INTERRUPTED, end_in_order
from .options import DeviceOption, JsonOption, LimitOption, OutOption, SeedsOption, TaskOption, WorkersOption
from .output import announce, print_json, say
from .selection import RESULTS, Request, check_device, select

if TYPE_CHECKING:
    from ..show.reproduction.chosen import Chosen
    from ..show.reproduction.documents import TableDocument
    from ..show.reproduction.plan import Plan


def reproduce(
    table: Annotated[str | None, typer.Argument(help="Its name; without one, all tables are listed.")] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint", "-c", metavar="[NAME=]PLACE", help="A folder or file of weights (may be repeated)."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder of data that the table reads.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run it, where it needs no checkpoint.")] = False,
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="Run it with a small model in the place of the paper's.")
    ] = False,
    task: TaskOption = None,
    limit: LimitOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """The tables of the papers: published figures, what making them again takes, and ours beside them.

    Without a table: the list. With one: its figures, needs, state and commands. With --checkpoint or --run it runs.
    """
    from ..show.reproduction.describe import reproduce_document, table_text, tables_text
    from ..show.reproduction.plan import plan_of, plans

    if table is None and not json:
        return say(tables_text())
    document = reproduce_document([table] if table else plans().plans)
    code = 0
    if table and (checkpoint or run or stand_in or data):
        chosen = _chosen(table, checkpoint or [], stand_in)
        folder = out or RESULTS / "-".join(["reproduce", table, *(["stand-in"] if stand_in else [])])
        code = _run(plan_of(table), data, _request(plan_of(table), chosen, task, limit, seeds, device), folder, workers)
        _compare(document["tables"][0], chosen, folder, json)
    elif not json:
        say(table_text(document["tables"][0]))
    if json:
        print_json(document)
    raise typer.Exit(code)


def _chosen(table: str, checkpoints: list[str], stand_in: bool) -> "Chosen":
    from ..errors import UsageError
    from ..show.reproduction import chosen
    from ..show.reproduction.plan import plan_of

    if not stand_in:
        return chosen.choose(table, plan_of(table), checkpoints)
    if checkpoints:
        raise UsageError("--stand-in runs without a checkpoint: leave one of the two out")
    return chosen.stand_in(table, plan_of(table))


def _request(
    plan: "Plan", chosen: "Chosen", tasks: list[str] | None, limit: int | None, seeds: int | None, device: str
) -> Request:
    return Request(
        profile=plan.profile,
        suites=(plan.suite,),
        methods=chosen.methods,
        tasks=tuple(tasks or chosen.tasks),
        backbones=chosen.backbones,
        settings=chosen.settings,
        seeds=seeds or chosen.seeds,
        limit=limit or chosen.limit,
        device=device,
    )


def _run(plan: "Plan", data: Path | None, request: Request, folder: Path, workers: int | None) -> int:
    """Run the part of the profile; what it says goes to stderr, since the tables are what was asked for."""
    from ..show.reproduction.chosen import use_data

    use_data(plan, data)
    announce(f"planning {plan.profile}", err=True)
    selection = select(request, folder)
    check_device(request.device)
    from ..console import open_console
    from ..execution.executors.interface import Options
    from ..execution.placement import default_workers
    from ..run import run

    place = selection.profile.device if request.device == "auto" else request.device
    options = Options(workers=workers or default_workers(1, place), device=place)
    end_in_order()
    try:
        return run(selection.profile, folder, options, "vouched", open_console(sys.stderr))
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
        say(comparison_text(blocks, document["unknown"]))
