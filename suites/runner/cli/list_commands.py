"""`list`, `show`, `check` and `doctor`: what there is, and whether it works."""

from typing import Annotated

import typer

from ..discovery.registry import find, suites
from .options import JsonOption, SuiteOption
from .output import announce, print_json, say
from .selection import only


def list_(context: typer.Context, suite: SuiteOption = None, json: JsonOption = False) -> None:
    """Methods, tasks, backbones and profiles."""
    from ..show.listing import list_document, list_text

    document = list_document(only(context, suite) or list(suites()))
    if json:
        print_json(document)
    else:
        say(list_text(document))


def show(
    name: Annotated[str, typer.Argument(help="A method or chain, task, backbone, data source or suite.")],
) -> None:
    """What a method, task, backbone, source or suite is: paper, every option and metric, data and their licence."""
    announce(f"looking up {name}", err=True)
    from ..show.describe import describe

    say(describe(name))


def check(
    method: Annotated[list[str] | None, typer.Argument(help="Methods (all unless given).")] = None,
) -> None:
    """The conformance battery: determinism, save and load, gradients, bf16, for each suite that a method serves."""
    for name in method or []:
        find("method", name)  # a wrong name is said before anything is imported
    announce("checking: the first method takes some seconds to import")
    from ..check import check_methods
    from ..console import open_console

    raise typer.Exit(check_methods(method or [], open_console()))


def doctor(json: JsonOption = False) -> None:
    """The environment, to paste into an issue, and what would keep a run from working."""
    announce("looking at Python, libraries, processor and cache", err=True)
    from ..doctor import diagnosis, doctor_text

    document = diagnosis()
    if json:
        print_json(document)
    else:
        say(doctor_text(document))
