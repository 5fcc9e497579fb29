"""`list`, `show`, `check`, `doctor`: what there is, and whether it works; `new`: something of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from ..discovery.registry import Named, called, entries, suites
from . import completion
from .options import JsonOption, SuiteOption
from .output import announce, print_json, say
from .selection import only


def list_(
    context: typer.Context,
    kind: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=completion.kind_names,
            help="methods, suites, tasks, backbones, profiles, routers, splits, criteria, adapters, sources (or all).",
        ),
    ] = None,
    suite: SuiteOption = None,
    json: JsonOption = False,
) -> None:
    """Methods, tasks, backbones, profiles; routers, splits, criteria, adapters; data sources."""
    from ..show.listing import KINDS, PLAIN, list_document, list_text

    chosen = only(context, suite)
    document = list_document(chosen or list(suites()), kind or (PLAIN if chosen else KINDS))
    if json:
        print_json(document)
    else:
        say(list_text(document))


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A method or chain, task, backbone, router, split, criterion, adapter, data source or suite."
        ),
    ],
) -> None:
    """What something is: paper, every option and metric, data and their licence."""
    announce(f"looking up {name}", err=True)
    from ..show.describe import describe

    say(describe(name))


def check(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=completion.checked_names,
            help="Methods, routers, splits, criteria, adapters, tasks, suites, sources (all methods unless given).",
        ),
    ] = None,
) -> None:
    """The conformance battery of what has that name: the same bits twice, save and load, gradients, bf16, data."""
    found = [entry for one in name or [] for entry in called(one)]  # a wrong name is said before anything is imported
    announce("checking: the first takes some seconds to import")
    from ..conformance.check import check
    from ..console import open_console

    raise typer.Exit(check(found or [Named("method", name) for name in entries("method")], open_console()))


def doctor(json: JsonOption = False) -> None:
    """The environment, to paste into an issue, and what would keep a run from working."""
    announce("looking at Python, libraries, processor and cache", err=True)
    from ..doctor import diagnosis, doctor_text

    document = diagnosis()
    if json:
        print_json(document)
    else:
        say(doctor_text(document))


def new(
    kind: Annotated[
        str, typer.Argument(autocompletion=completion.template_names, help="method, task, router or adapter.")
    ],
    name: Annotated[str, typer.Argument(help="What it is called, in small letters: my_router.")],
    folder: Annotated[Path | None, typer.Argument(help="A new folder; the name, here, unless given.")] = None,
    suite: Annotated[str, typer.Option("--suite", "-s", help="Of a task: vtab or molecules.")] = "vtab",
) -> None:
    """Write a package of your own: one module, its entry point, and a test that passes once it is installed."""
    from ..new.writing import commands, write_package

    target = write_package(kind, name, folder, suite)
    say(f"{target} is written; next:\n\n{commands(kind, name, target, suite)}")
