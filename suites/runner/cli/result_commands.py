"""`report`, `compare` and `verify`: what the records of a result folder say, and whether it is so."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..discovery.registry import suites
from ..interrupts import STOPPED, raise_again
from .completion import labels
from .options import FolderArgument, JsonOption, SuiteOption
from .output import announce, print_json, say


def report(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to (FOLDER/report unless given).")] = None,
) -> None:
    """Tables on the terminal, and the page, Markdown, CSV and LaTeX in files.

    Of a folder of result folders: RESULTS.md and its pictures, for a repository.
    """
    announce(f"reading the records of {folder}")
    from ..summary import write_report
    from ..write_results import is_collection, write_results

    write = write_results if is_collection(folder) else write_report
    write(folder, out or folder / "report")


def compare(
    folder: FolderArgument,
    first: Annotated[str, typer.Argument(metavar="A", help="Row label.", autocompletion=labels)],
    second: Annotated[str, typer.Argument(metavar="B", help="Row label.", autocompletion=labels)],
    suite: SuiteOption = None,
    json: JsonOption = False,
) -> None:
    """Row A against row B: paired differences on the same task and seed, with intervals and corrected p-values."""
    announce(f"comparing {first} with {second}", err=True)
    from ..summary import compare_document, compare_rows

    names = suite or list(suites())
    if json:
        print_json(compare_document(folder, first, second, names))
    else:
        compare_rows(folder, first, second, names)


def verify(
    record: Annotated[list[str], typer.Argument(metavar="RECORD", help="JSON files of records, or ids with --out.")],
    out: Annotated[Path | None, typer.Option("--out", "--folder", "-o", help="Result folder of the ids.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes (as many as cores and memory carry).")
    ] = None,
    memory: Annotated[float | None, typer.Option(min=0.5, help="Bound on one worker's memory, in GiB.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
) -> None:
    """Run the cells of records again, from what the records say of them, and compare.

    Each score must be equal to the last digit, or lie within a stated interval: 95 % from the standard error over test
    examples, else by the seeds of its row. Exit code 1 if a record is not reproduced.
    """
    announce(f"verifying {len(record)} records", err=True)
    from ..console import open_console
    from ..execution.executors.interface import Options
    from ..execution.placement import default_workers
    from ..verification.lookup import find_records
    from ..verification.verify import to_json, to_text, verify

    named = find_records(record, out)
    limit = None if memory is None else int(memory * 2**30)
    options = Options(workers=workers or default_workers(1), memory=limit)
    raise_again()
    try:
        found = verify(named, options, open_console(sys.stderr))
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None
    write = to_json if json else to_text
    say(write(found))
    raise typer.Exit(0 if all(one.passed for one in found) else 1)
