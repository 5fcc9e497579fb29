"""Options and values that records know by an earlier name, as the file of their method says.

    RENAMED = {"strict_release": "faithful"}
    RENAMED_VALUES = {"split": {"carved": "cmoe"}}

So a record can be made again after its method's words have changed. The values are those of an option by its new name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sparsebench.reports.records.record import CellInfo, Link

from ..errors import UsageError
from .options import options_of
from .registry import Entry, find

RENAMED = "RENAMED"
RENAMED_VALUES = "RENAMED_VALUES"


def in_todays_words(info: CellInfo) -> CellInfo:
    """The description of a cell with the options and values of its methods as they are called today.

    Raises:
        UsageError: a method is unknown, or its file renames to an option that it does not have.
    """
    first, *then = [
        Link(method=link.method, config=_config(find("method", link.method), link.config)) for link in info.links
    ]
    return replace(info, config=first.config, then=then)


def _config(entry: Entry, config: Mapping[str, object]) -> dict[str, Any]:
    names = entry.constant(RENAMED, {})
    values = entry.constant(RENAMED_VALUES, {})
    known = options_of(entry)
    for name in (*names.values(), *values):
        if name not in known:
            raise UsageError(f"{entry.path}: {RENAMED} leads to {name!r}, which is no option of {entry.name}")
    found = {}
    for name, value in config.items():
        today = names.get(name, name)
        renamed = values.get(today, {})
        found[today] = renamed.get(value, value) if isinstance(value, str) else value
    return found
