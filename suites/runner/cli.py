"""The command line. Nothing heavy is imported before a command needs it: `--help` and `list` stay instant."""

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from sparsebench.data.errors import DataError
from sparsebench.reports.record import RecordError
from sparsebench.reports.store import StoreError

from .discovery.registry import suites
from .errors import UsageError

USAGE_ERRORS = (UsageError, DataError, StoreError, RecordError)


class ReuseChoice(enum.StrEnum):
    """Which records of earlier runs count."""

    missing = "missing"
    always = "always"
    never = "never"
    only = "only"


ProfileOption = Annotated[str, typer.Option("--profile", "-p", help="quick, full, ... or a YAML file of yours.")]
SuiteOption = Annotated[list[str] | None, typer.Option("--suite", "-s", help="Only this suite (may be repeated).")]
MethodOption = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Only this row, or one more method or chain (`first+second`)."),
]
TaskOption = Annotated[list[str] | None, typer.Option("--task", "-t", help="Only this task, or one more.")]
BackboneOption = Annotated[list[str] | None, typer.Option("--backbone", "-b", help="This backbone, `name[:argument]`.")]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Result folder (results/<profile> unless given).")]
FolderArgument = Annotated[Path, typer.Argument(help="Result folder of a run.")]
ReuseOption = Annotated[
    ReuseChoice,
    typer.Option(
        help="missing: run what this code has not scored yet; always: keep results of older code, too; "
        "never: run all again; only: run nothing."
    ),
]

app = typer.Typer(
    name="sparsebench",
    help="Sparse and dynamic neural modules, compared fairly in language, vision and chemistry.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: mistakes of the user become one line on stderr and exit code 2."""
    try:
        app()
    except USAGE_ERRORS as error:
        sys.stderr.write(f"sparsebench: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except OSError as error:
        sys.stderr.write(f"sparsebench: {error.filename or 'the system'}: {error.strerror or error}\n")
        sys.exit(2)


def _only(context: typer.Context, suite: list[str] | None) -> list[str]:
    """The suites meant by `sparsebench <suite> ...` or by --suite; empty means all."""
    if context.obj and suite:
        raise UsageError(f"--suite and `sparsebench {context.obj}` say it twice: leave one out")
    return [context.obj] if context.obj else suite or []


def _selected(
    profile: str,
    suite: list[str],
    method: list[str] | None = None,
    task: list[str] | None = None,
    backbone: list[str] | None = None,
    seeds: int | None = None,
):
    from dataclasses import replace

    from .planning.profile import load_profile, narrow

    loaded = load_profile(profile, suite)
    if (method or task or backbone) and len(loaded.plans) != 1:
        raise UsageError("--method, --task and --backbone need one suite: say `sparsebench vtab run ...` or --suite")
    plans = tuple(narrow(plan, method or (), task or (), backbone or (), seeds) for plan in loaded.plans)
    return replace(loaded, plans=plans)


@app.command("list")
def list_(context: typer.Context, suite: SuiteOption = None) -> None:
    """Methods, tasks, backbones and profiles."""
    from .listing import listing

    typer.echo(listing(_only(context, suite) or list(suites())))


@app.command()
def show(name: Annotated[str, typer.Argument(help="A method or chain, task, backbone, data source or suite.")]) -> None:
    """What a method, task, backbone, source or suite is: caption, paper, config with defaults, data."""
    from .listing import describe

    typer.echo(describe(name))


@app.command()
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
    from .listing import plan_text

    selected = _selected(profile, _only(context, suite), method, task, backbone, seeds)
    typer.echo(plan_text(selected, out or _default_out(profile)))


@app.command()
def prepare(context: typer.Context, profile: ProfileOption = "quick", suite: SuiteOption = None) -> None:
    """Download and verify everything that a profile needs."""
    from sparsebench.data.sources import prepare as prepare_sources

    from .planning.plan import expand_fetched

    selected = _selected(profile, _only(context, suite))
    cells = expand_fetched(selected)
    names = sorted({name for cell in cells for name in cell.sources})
    prepare_sources(names, typer.echo)


@app.command()
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
) -> None:
    """Run what is missing. The same command goes on after any interruption; exit code 1 if a cell has no score."""
    from rich.console import Console

    from .execution.environment import default_workers
    from .execution.pool import Options
    from .run import run as run_profile

    selected = _selected(profile, _only(context, suite), method, task, backbone, seeds)
    limit = None if memory is None else int(memory * 2**30)
    options = Options(workers=workers or default_workers(threads), threads=threads, memory=limit)
    try:
        code = run_profile(selected, out or _default_out(profile), options, reuse.value, Console())
    except KeyboardInterrupt:
        typer.echo("sparsebench: stopped; the same command goes on from here", err=True)
        code = 130
    raise typer.Exit(code)


@app.command()
def report(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to (FOLDER/report unless given).")] = None,
) -> None:
    """Tables on the terminal, and the page, Markdown, CSV and LaTeX in files.

    Of a folder of result folders: RESULTS.md and its pictures, for a repository.
    """
    from .summary import write_report
    from .write_results import is_collection, write_results

    write = write_results if is_collection(folder) else write_report
    write(folder, out or folder / "report")


@app.command()
def compare(
    folder: FolderArgument,
    first: Annotated[str, typer.Argument(metavar="A", help="Row label.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Row label.")],
    suite: SuiteOption = None,
) -> None:
    """Row A against row B: paired differences on the same task and seed, with intervals and corrected p-values."""
    from .summary import compare_rows

    compare_rows(folder, first, second, suite or list(suites()))


@app.command()
def check(
    method: Annotated[list[str] | None, typer.Argument(help="Methods (all unless given).")] = None,
) -> None:
    """The conformance battery: determinism, save and load, gradients, bf16, for each suite that a method serves."""
    from rich.console import Console

    from .check import check_methods

    raise typer.Exit(check_methods(method or [], Console()))


@app.command()
def doctor() -> None:
    """The environment, to paste into an issue, and what would keep a run from working."""
    from .doctor import diagnosis

    typer.echo(diagnosis())


def _default_out(profile: str) -> Path:
    return Path("results") / Path(profile).stem


def _suite_app(name: str) -> typer.Typer:
    """`sparsebench <suite> list|plan|prepare|run`: the same commands, for one suite."""
    sub = typer.Typer(help=f"Only the suite {name}: {suites()[name].title}.", no_args_is_help=True)

    @sub.callback()
    def choose(context: typer.Context) -> None:
        context.obj = name

    for command, function in (("list", list_), ("plan", plan), ("prepare", prepare), ("run", run)):
        sub.command(command)(function)
    return sub


for _name in suites():
    app.add_typer(_suite_app(_name), name=_name)
