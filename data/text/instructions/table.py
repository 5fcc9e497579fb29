"""The one table that says which data sets belong to which group: `sets.toml` beside this file."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import UnknownSource
from ...manifest import near

TABLE = "sets.toml"
CODE = "code"
"""The group that comes from another source than the table's sets."""
GROUPS = ("logic", "mathematics", "exams", "language", "classification", "symbols", CODE)


@dataclass(frozen=True)
class Table:
    """Sets by group, excluded sets or files with the reason, and sets that fit no group."""

    groups: Mapping[str, tuple[str, ...]]
    excluded: Mapping[str, str]
    ungrouped: tuple[str, ...]

    def uses(self, file: str) -> bool:
        """Whether a file, by its path below the folder of sets, is not excluded."""
        return not any(file == entry or file.startswith(f"{entry}/") for entry in self.excluded)


@functools.cache
def table() -> Table:
    """The table as it is in the file."""
    read = tomllib.loads((Path(__file__).parent / TABLE).read_text(encoding="utf-8"))
    groups = {group: tuple(sets) for group, sets in read["groups"].items()}
    return Table(groups, read["excluded"], tuple(read["ungrouped"]["sets"]))


def check_group(group: str) -> None:
    """Raise `UnknownSource`, with near names, for what is no group."""
    if group not in GROUPS:
        raise UnknownSource(f"unknown instruction group {group!r}{near(group, GROUPS)}")
