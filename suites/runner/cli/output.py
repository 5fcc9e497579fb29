"""What commands print: a line at once, JSON, and text on streams that know only ASCII."""

import codecs
import io
import json
import sys
from collections.abc import Mapping
from typing import Any

import typer

from sparsebench.reports.records.visible import visible

PLAIN = {
    "−": "-",
    "–": "-",
    "×": "x",
    "±": "+-",
    "·": "*",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "↑": "^",
    "↓": "v",
    "†": "+",
    "²": "2",
    "µ": "u",
}
"""What stands for the signs of our tables where they cannot be written; a minus must not get lost."""


def say(text: str, *, err: bool = False) -> None:
    """Print a text, which may hold names and errors of others."""
    typer.echo(visible(text), err=err)


def announce(text: str, *, err: bool = False) -> None:
    """Say at once what a command is about, before it imports what takes seconds; on stderr where stdout is data."""
    say(f"{text} ...", err=err)


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document of `documents.py`, in ASCII."""
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def use_plain_signs() -> None:
    """Write what a stream's encoding lacks in plain signs, in place of raising UnicodeEncodeError."""
    codecs.register_error("sparsebench", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a caller puts in their place may be something else
            stream.reconfigure(errors="sparsebench")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in missing), error.end
