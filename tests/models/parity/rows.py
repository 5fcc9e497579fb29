"""What is compared with what: the rows of the table of parity, read from `rows.yaml`, with the tests that measure them.

The file has areas, and below each its rows: what of ours, the other side, the inputs, what is compared, and tests
below `tests/models`, by file: each with all its cases, or one in brackets.
"""

import importlib.metadata
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..foreign_engines.elsewhere import interpreter_with

FILE = Path(__file__).with_name("rows.yaml")
BELOW = "tests/models"
PACKAGES = {"PEFT": "peft"}
"""Other sides whose package has another name."""


class Row(NamedTuple):
    """`refused` is why nothing can be compared; the tests see that. `elsewhere` are packages, that of the other side
    first, which may be those of another interpreter."""

    area: str
    ours: str
    other: str
    inputs: str
    compared: tuple[str, ...]
    tests: tuple[str, ...]
    refused: str = ""
    elsewhere: tuple[str, ...] = ()

    def has(self, nodeid: str) -> bool:
        """Whether a test, or its file, is one of the row's."""
        function = nodeid.partition("[")[0]
        return any(test in (nodeid, function) or test.startswith(f"{nodeid}::") for test in self.tests)

    def other_side(self) -> str:
        """With its version, if it is a package that is installed, here or elsewhere."""
        if self.elsewhere:
            found = interpreter_with(*self.elsewhere)
            return ", ".join(found[1]) if found else self.other
        try:
            return f"{self.other} {importlib.metadata.version(PACKAGES.get(self.other, self.other))}"
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return self.other


def rows(file: Path = FILE) -> tuple[Row, ...]:
    found = []
    for area, entries in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        found += [_row(area, **entry) for entry in entries]
    return tuple(found)


def _row(
    area: str, *, tests: dict[str, list[str]], compared: list[str], elsewhere: tuple[str, ...] = (), **texts: Any
) -> Row:
    places = []
    for path, names in tests.items():
        places += [f"{BELOW}/{path}::{name}" for name in names]
    return Row(area=area, compared=tuple(compared), tests=tuple(places), elsewhere=tuple(elsewhere), **texts)
