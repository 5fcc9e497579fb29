"""`list`, `show`, `check` and `doctor`: what there is, and whether it works."""

from typing import Annotated

import typer

from ..discovery.registry import suites
from .options import SuiteOption
from .selection import only


def list_(context: typer.Context, suite: SuiteOption = None) -> None:
    """Methods, tasks, backbones and profiles."""
    from ..listing import listing

    typer.echo(listing(only(context, suite) or list(suites())))


def show(name: Annotated[str, typer.Argument(help="A method or chain, task, backbone, data source or suite.")]) -> None:
    """What a method, task, backbone, source or suite is: caption, paper, config with defaults, data."""
    from ..listing import describe

    typer.echo(describe(name))


def check(
    method: Annotated[list[str] | None, typer.Argument(help="Methods (all unless given).")] = None,
) -> None:
    """The conformance battery: determinism, save and load, gradients, bf16, for each suite that a method serves."""
    from ..check import check_methods
    from ..console import open_console

    raise typer.Exit(check_methods(method or [], open_console()))


def doctor() -> None:
    """The environment, to paste into an issue, and what would keep a run from working."""
    from ..doctor import diagnosis

    typer.echo(diagnosis())
