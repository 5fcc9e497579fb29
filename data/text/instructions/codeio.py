"""Exchanges from the CodeI/O problems of reasoning-gym: what a program shall do, and the program (Li et al., 2025).

The programs are texts here: none of them is run.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...sources import path
from .exchange import Exchange

SOURCE = "reasoning-gym"
SETS = {"codeio": "codeio", "codeio-hq": "codeio_hq"}
"""Names of the sets, and of their files in the manifest."""
REQUEST = "Write a Python function `main_solution` that computes this."


def read_set(group: str, name: str) -> Iterator[Exchange | str]:
    """The exchanges of one set, and in the place of each record that is none, why it is refused."""
    for row in _rows(path(SOURCE, SETS[name])):
        yield exchange_of(row, group, name)


def exchange_of(row: Mapping[str, Any], group: str, name: str) -> Exchange | str:
    """A problem as an exchange, or the reason why it is none."""
    parts = [row.get(key) for key in ("task_description", "input_output_spec", "code_sample")]
    if not all(isinstance(part, str) and part.strip() for part in parts):
        return "no problem with a program"
    task, specification, program = map(str.strip, map(str, parts))
    prompt = f"{task}\n\n{specification}\n\n{REQUEST}"
    return Exchange(group, name, (("user", prompt),), program)


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a file that is one list, or has a row on each line."""
    text = gzip.decompress(file.read_bytes()).decode()
    if text.lstrip().startswith("["):
        yield from json.loads(text)
    else:
        for line in text.splitlines():
            yield json.loads(line)
