"""Texts with brackets come out as they are, wherever they stand."""

import io

from rich.color import ColorSystem
from rich.table import Table
from rich.text import Text

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


def test_escape_codes_in_texts_are_shown_and_not_obeyed() -> None:
    """Audit D15: the error of a method set the title of the terminal."""
    out = io.StringIO()
    console = open_console(file=out, width=100)
    evil = "\x1b]0;title\x07 \x9b2J done\r"
    console.print(evil, style="red", soft_wrap=True)
    console.print(Text(evil))
    table = Table(title=evil)
    table.add_column(evil)
    table.add_row(Text(evil))
    console.print(table)
    assert not set("\x1b\x07\x9b\r") & set(out.getvalue())
    assert out.getvalue().count(r"\x1b]0;title") == 5


def test_colours_of_our_own_still_reach_a_terminal() -> None:
    out = io.StringIO()
    console = open_console(file=out, width=100)
    console._color_system = ColorSystem.STANDARD
    console.print("failed \x1b[32m", style="red")
    assert out.getvalue() == "\x1b[31mfailed \\x1b[32m\x1b[0m\n"
