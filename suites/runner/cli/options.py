"""The options that several commands share."""

import enum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from . import completion

WHAT = "What to run"
WHERE = "Where and by what"
RESULTS = "Results"
"""Panels of `--help`."""
LARGEST_SEED = 2**32 - 1
"""What every generator of random numbers takes."""


class ReuseChoice(enum.StrEnum):
    """Which records of earlier runs count."""

    vouched = "vouched"
    exact = "exact"
    always = "always"
    never = "never"
    only = "only"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("sparsebench"))
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="The installed version.")
]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        autocompletion=completion.profile_names,
        help="quick, full, ... or a YAML file of yours.",
        rich_help_panel=WHAT,
    ),
]
SuiteOption = Annotated[
    list[str] | None,
    typer.Option(
        "--suite",
        "-s",
        autocompletion=completion.suite_names,
        help="Only this suite (may be repeated).",
        rich_help_panel=WHAT,
    ),
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        autocompletion=completion.row_names,
        help="Only this row, or one more method or chain (`first+second`).",
        rich_help_panel=WHAT,
    ),
]
TaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task", "-t", autocompletion=completion.task_names, help="Only this task, or one more.", rich_help_panel=WHAT
    ),
]
BackboneOption = Annotated[
    list[str] | None,
    typer.Option("--backbone", "-b", help="This backbone, `name[:argument]`.", rich_help_panel=WHAT),
]
SeedsOption = Annotated[int | None, typer.Option("--seeds", min=1, help="Number of seeds.", rich_help_panel=WHAT)]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value (may be repeated): method.rank=8 for every row that has the option, lora.rank=8, "
        "budget.steps=200, task.trec6.epochs=2, seeds=5, timeout=600, checkpoints=true.",
        rich_help_panel=WHAT,
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many test examples for a task.", rich_help_panel=WHAT)
]
DtypeOption = Annotated[
    str | None,
    typer.Option("--dtype", help="float32, bfloat16, float64 or auto.", rich_help_panel=WHAT),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", rich_help_panel=WHERE)]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Result folder (results/<profile>; results/adhoc-... for a part or a change of one).",
        rich_help_panel=RESULTS,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: one JSON document (suites/README.md).")]
FolderArgument = Annotated[Path, typer.Argument(help="Result folder of a run.")]
ReuseOption = Annotated[
    ReuseChoice,
    typer.Option(
        help="vouched: run what neither this code nor code that `vouch` found equal has scored; exact: what this very "
        "code has not; always: keep results of any code; never: run all again; only: run nothing.",
        rich_help_panel=RESULTS,
    ),
]
ExecutorOption = Annotated[
    str,
    typer.Option(
        "--executor",
        help="What runs the cells: local, leases (all who share --out), ray (nodes of a cluster).",
        rich_help_panel=WHERE,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Worker processes (as many as cores and memory carry).", rich_help_panel=WHERE
    ),
]
MemoryOption = Annotated[
    float | None, typer.Option("--memory", min=0.5, help="Bound on one worker's memory, in GiB.", rich_help_panel=WHERE)
]
AddressOption = Annotated[
    str | None, typer.Option("--address", help="HOST:PORT of a Ray cluster that runs already.", rich_help_panel=WHERE)
]
LeaseOption = Annotated[
    float,
    typer.Option(
        "--lease",
        min=1,
        help="Seconds without a sign of life after which a process sharing --out is lost.",
        rich_help_panel=WHERE,
    ),
]
TrackerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log-with",
        metavar="TRACKER",
        help="Log every ended cell with tensorboard, mlflow, wandb, ... (repeatable).",
        rich_help_panel=RESULTS,
    ),
]
LogFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--log-dir", help="Where trackers keep files (logs in the result folder unless given).", rich_help_panel=RESULTS
    ),
]
