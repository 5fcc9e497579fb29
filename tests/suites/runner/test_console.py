"""Texts with brackets come out as they are, wherever they stand."""

import io

from rich.table import Table

from sparsebench.suites.runner.console import open_console

NASTY = "cannot open [/data/x.csv] [red]x[/] :smile: [not a tag"


def test_brackets_are_no_markup() -> None:
    out = io.StringIO()
    console = open_console(file=out, width=100)
    console.print(NASTY, style="red")
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY)
    console.print(table)
    assert out.getvalue().count(NASTY) == 4
