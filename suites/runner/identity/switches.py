"""Switches in the environment that mean something else to a cell than to a user of the library."""

import os
from collections.abc import Mapping

from ..errors import UsageError, near

OF_CELLS: Mapping[str, str] = {"SPARSEBENCH_FORMS": "rules"}
"""By variable, what it is where nobody sets it. Between exact forms of a computation no clock decides
(`models.native.forms`): a cell gives the same bits in every run."""
VALUES: Mapping[str, tuple[str, ...]] = {"SPARSEBENCH_FORMS": ("rules", "measured")}
"""By variable, what it can be."""


def as_cells_have_it(name: str) -> str:
    """What a variable of the environment is to a cell. Raises `UsageError` for a value that it cannot have."""
    value = os.environ.get(name, OF_CELLS.get(name, ""))
    if name in VALUES and value not in VALUES[name]:
        raise UsageError(f"{name}={value}: unknown value{near(value, VALUES[name])}")
    return value


def check_switches() -> None:
    """Raise `UsageError` for a variable of the environment with a value that it cannot have."""
    for name in VALUES:
        as_cells_have_it(name)
