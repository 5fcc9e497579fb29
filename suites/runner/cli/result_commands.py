"""`report`, `compare`, `verify`, `vouch`, `freeze`: what the records of a folder say, if it is so, and to keep them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..discovery.registry import suite as suite_of
from ..discovery.registry import suites
from ..errors import UsageError
from ..interrupts import INTERRUPTED, end_in_order
from .options import FolderArgument, JsonOption, MemoryOption, SuiteOption, WorkersOption
from .output import announce, print_json, say

if TYPE_CHECKING:
    from ..execution.executors.interface import Options


def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Result folders; rows of several stand side by side.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to (report in the first FOLDER unless given).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the path of the page.")] = False,
    site: Annotated[bool, typer.Option("--site", help="A static site: a page for each folder, a front page.")] = False,
    json: JsonOption = False,
) -> None:
    """Tables on the terminal, and the page, Markdown, CSV and LaTeX in files.

    Of several folders: one report in which their rows stand side by side, `mine reports/results/quick` for instance.
    Of a folder of result folders: RESULTS.md and its pictures, for a repository; with `--site` (into the folder site
    unless given) a page for each and a front page over all, which any static host serves.
    """
    if not quiet:
        announce(f"reading the records of {', '.join(map(str, folders))}", err=json)
    from ..results.summary import print_report, report_document, write_report
    from ..results.write_results import is_collection, write_results

    place = out or folders[0] / "report"
    if site:
        from ..results.site import write_site

        say(str(write_site(folders, out or Path("site"))))
    elif len(folders) == 1 and is_collection(folders[0]):
        write_results(folders[0], place)
    elif json:
        print_json(report_document(write_report(folders, place)))
    elif quiet:
        say(str(write_report(folders, place).page))
    else:
        print_report(folders, place)


def compare(
    folder: FolderArgument,
    first: Annotated[str, typer.Argument(metavar="A", help="Row label; or, without B, another result folder.")],
    second: Annotated[str | None, typer.Argument(metavar="B", help="Row label.")] = None,
    suite: SuiteOption = None,
    json: JsonOption = False,
) -> None:
    """Row A against row B: paired differences on the same task and seed, with intervals. Or one folder against another.

    `compare FOLDER A B` prints what A has more than B, with 95 % intervals and corrected p-values.

    `compare FOLDER OTHER` says of two result folders, of two machines or two commits for instance, which cells are in
    both and which in one; whose scores are equal to the last digit, as printed, within the 95 % interval of the paired
    differences of their examples, or beyond it, and by how much.
    """
    announce(f"comparing {folder if second is None else first} with {second or first}", err=True)
    names = suite or list(suites())
    for name in names:
        suite_of(name)  # a wrong name is said before anything is read
    if second is None:
        _compare_folders(folder, first, names, json)
        return
    from ..results.summary import compare_document, compare_rows

    if json:
        print_json(compare_document(folder, first, second, names))
    else:
        compare_rows(folder, first, second, names)


def _compare_folders(folder: Path, other: str, names: Sequence[str], json: bool) -> None:
    """Raises `UsageError` where the second word can only be a row."""
    from ..verification.two_folders import compare_folders
    from ..verification.two_folders_text import to_document, to_text

    if not Path(other).is_dir():
        raise UsageError(f"{other!r} is no folder: name two rows of {folder}, or another result folder")
    found = compare_folders(folder, Path(other), names)
    if json:
        print_json(to_document(found))
    else:
        say(to_text(found))


def verify(
    record: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECORD", help="JSON files of records, ids with --out, or folders with --sample."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "--folder", "-o", help="Result folder of the ids.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="So many records with a score, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Which of them are drawn.")] = 0,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
    json: Annotated[bool, typer.Option("--json", help="The outcome as JSON.")] = False,
) -> None:
    """Run the cells of records again, from what the records say of them, and compare.

    Before that, a record must agree with its own examples, and its folder with the sums that its run left. Where code,
    libraries, data and machine are the same, only equality counts; elsewhere each score must be equal, or lie within
    the 95 % interval of the paired differences of its examples (of a score that no examples give, within that of one
    more seed of its row). Exit code 1 if a record is not reproduced, contradicts itself, is changed or gone, or
    its data are not here.
    """
    announce("looking up the records", err=True)
    from ..console import open_console
    from ..verification.folders import check_folders, choose
    from ..verification.outcome import exit_code, to_json, to_text
    from ..verification.verify import verify

    console = open_console(sys.stderr)
    named = choose(record or [], out, sample, seed, lambda line: console.print(line, highlight=False))
    folders = check_folders(named)
    end_in_order()
    try:
        found = verify(named, _options(workers, memory), console)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    write = to_json if json else to_text
    say(write(found, folders))
    raise typer.Exit(exit_code(found, folders))


def vouch(
    folder: Annotated[Path, typer.Argument(help="A result folder, or a folder of them.")],
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Core time, by the durations that the records name.")
    ] = None,
    workers: WorkersOption = None,
    memory: MemoryOption = None,
) -> None:
    """Whether today's code still gives what the records say: run some of their cells again, and keep vouchers of it.

    First the cheapest cell of each code path that has changed since its records were made; with --minutes, then cells
    drawn at random until the time is up. Each outcome (equal, rounding, undecided, outside) is a line of vouchers.jsonl
    in the result folder, and the next call goes on from there. Needs a tree without changes. Exit code 1 if a path does
    not hold: `sparsebench run` makes its records again.
    """
    announce(f"looking up the records of {folder}", err=True)
    from sparsebench.reports.records.vouchers import Vouchers

    from ..console import open_console
    from ..verification.folders import result_folders
    from ..verification.vouch import here, vouch
    from ..verification.vouch_summary import exit_code, to_text

    folders = result_folders(folder)
    place = here()
    end_in_order()
    try:
        vouch(folders, place, _options(workers, memory), open_console(sys.stderr), minutes)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    standings = {folder: Vouchers(folder).standing() for folder in folders}
    say(to_text(standings))
    raise typer.Exit(exit_code(standings.values()))


def _options(workers: int | None, memory: float | None) -> "Options":
    """How cells that are run again are run."""
    from ..execution.executors.interface import Options
    from ..execution.placement import default_workers

    limit = None if memory is None else int(memory * 2**30)
    return Options(workers=workers or default_workers(1), memory=limit)


def freeze(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Result folders, or folders of them.")],
) -> None:
    """Put the records of result folders into two Parquet files each, records.parquet and examples.parquet.

    All commands read them as before, and so does any reader of Parquet. The files of single records are removed when
    all was read back and is equal. A later run writes files of single records again, which count more; freeze merges.
    """
    announce("looking up the records", err=True)
    from ..execution.freezing import freeze_folders
    from ..verification.folders import result_folders

    freeze_folders([found for folder in folders for found in result_folders(folder)], say)
