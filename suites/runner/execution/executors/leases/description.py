"""What a process is going to run, in words that let another say in which point it differs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparsebench.reports.tables.formatting import counted

from ....identity.agreement import differences, identity_lines, kind_of
from ....identity.cell import Cell, digest


def describe(name: str, reuse: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """A plan as JSON: its name, which cells in which order, and all that a machine must have in common with others."""
    return {
        "name": name,
        "reuse": reuse,
        "count": len(cells),
        "cells": digest([[cell.id, cell.key] for cell in cells]),
        "lines": plan_lines(cells),
    }


def plan_lines(cells: Iterable[Cell]) -> list[str]:
    """What the code, the data and the libraries behind these cells are on this machine, each line once."""
    kinds = {kind_of(cell): cell for cell in cells}
    lines: set[str] = set()
    for cell in kinds.values():
        lines |= set(identity_lines(cell))
    return sorted(lines)


def difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What differs between two plans, for people; empty where they are equal."""
    if theirs["lines"] != ours["lines"]:
        return differences(ours["lines"], theirs["lines"])
    if any(theirs[name] != ours[name] for name in ("name", "reuse", "cells")):
        return f"{_short(ours)} here, {_short(theirs)} there"
    return ""


def _short(plan: Mapping[str, Any]) -> str:
    return f"{counted(plan['count'], 'cell')} of {plan['name']} with --reuse {plan['reuse']}"
