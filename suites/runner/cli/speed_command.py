"""`speed`: how fast our modules are beside others, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from ..interrupts import INTERRUPTED, end_in_order
from . import completion
from .output import announce, say


def speed(
    out: Annotated[Path, typer.Option("--out", "-o", help="Result folder that gets the figures, speed.json.")] = Path(
        "results/quick"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL", autocompletion=completion.speed_cell_names, help="Only this cell (may be repeated)."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Also what takes many minutes.")] = False,
    check: Annotated[bool, typer.Option("--check", help="A target that is not reached is a failure.")] = False,
) -> None:
    """Time our modules beside named peers on this machine; `report` puts the figures on the page.

    Minutes on two idle cores. Peers that are not installed are skipped and named. The figures take the place of those
    of an earlier call, also where only some cells were run. Exit code 1 if a cell failed or nothing was timed; figures
    short of their target are said. Needs pytest and plug-ins, the extra `speed` of this package.
    """
    announce("looking up the speed cells")
    from sparsebench.reports.page.speed import to_terminal

    from ..console import open_console
    from ..speed import choose, run_speed

    end_in_order()
    try:
        report = run_speed(out, choose(only or ()), full=full, check=check)
    except KeyboardInterrupt:
        say("sparsebench: stopped; no figure was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if report is None:
        say("sparsebench: nothing was timed, for the reasons above; no figure was written", err=True)
        raise typer.Exit(1)
    console = open_console()
    console.print(to_terminal(report))
    for line in report.shortfalls:
        console.print(line, style="yellow")
    say(f"written to {out}; sparsebench report {out} puts them on its page")
    raise typer.Exit(1 if report.failed else 0)
