"""Inputs that stand in several rows of a table: which rows stay, and what is to be said of those that disagree."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..labelled.dealt import PARTS, Part
from ..labelled.table import normal_form
from .values import Targets

if TYPE_CHECKING:
    import numpy as np

MOST_NAMED = 5
"""Rows of one input that a message names."""


def repeated_texts(
    inputs: Sequence[str], targets: Targets, named: Sequence[Part] | None, known: Iterable[int]
) -> dict[int, str]:
    """Texts that stand twice: of one label, the first of test, val and train stays; of several labels, none.

    Args:
        inputs: of each row.
        targets: of each row.
        named: the part of each row, where the table names it.
        known: rows that are not used anyway.

    Returns:
        Why each further row is not used.
    """
    import numpy as np

    found = {}
    for rows in alike({row: normal_form(inputs[row]) for row in _others(inputs, known)}):
        if len(np.unique(targets.values[rows])) > 1:
            found |= dict.fromkeys(rows, f"{listed(rows)} are one text, two labels")
            continue
        if named is not None:
            rows = sorted(rows, key=lambda row: -PARTS.index(named[row]))
        found |= dict.fromkeys(rows[1:], f"the same text as row {rows[0] + 1}")
    return found


def same_molecules(inputs: Sequence[str], known: Iterable[int]) -> list[list[int]]:
    """Rows, two or more, of each molecule that stands twice, by its canonical SMILES with stereo and isotopes.

    Args:
        inputs: SMILES of each row.
        known: rows that are not used anyway, which may hold anything.

    Returns:
        Rows in the order of the table, molecules in that of their first row.
    """
    from rdkit.Chem import CanonSmiles

    return alike({row: CanonSmiles(inputs[row]) for row in _others(inputs, known)})


def in_a_later_part(same: Sequence[Sequence[int]], named: Sequence[Part]) -> dict[int, str]:
    """Molecules that stand in a later part, too: what is tested was not trained on.

    Args:
        same: what `same_molecules` found.
        named: the part of each row.

    Returns:
        Why each row that is not in the last part of its molecule is not used.
    """
    found = {}
    for rows in same:
        last = max(rows, key=lambda row: (PARTS.index(named[row]), row))
        for row in rows:
            if named[row] != named[last]:
                found[row] = f"the same molecule as row {last + 1}, which is in {named[last]}"
    return found


def together(parts: Sequence[Part], same: Sequence[Sequence[int]]) -> list[Part]:
    """Parts in which no molecule is in two: all rows of one go to the last part that has one of them.

    Args:
        parts: of each row.
        same: rows of one molecule each.

    Returns:
        The part of each row.
    """
    found = list(parts)
    for rows in same:
        last = max(rows, key=lambda row: PARTS.index(found[row]))
        for row in rows:
            found[row] = found[last]
    return found


def conflicting_molecules(same: Sequence[Sequence[int]], inputs: Sequence[str], targets: Targets) -> tuple[str, ...]:
    """Molecules that stand twice with other values: both are measurements, and nobody can say which one is wrong.

    Args:
        same: used rows, by molecule; those of one are in one part.
        inputs: SMILES of each row.
        targets: of each row.

    Returns:
        Rows and SMILES of each such molecule, as texts.
    """
    return tuple(f"{listed(rows)} ({inputs[rows[0]]})" for rows in same if disagree(targets.values[rows]))


def disagree(values: "np.ndarray") -> bool:
    """Whether rows (N,) or (N, T) differ in a value that both know: one that is unknown in a row is no conflict."""
    import numpy as np

    columns = values.reshape(len(values), -1).astype(np.float64).T
    return any(len(np.unique(column[~np.isnan(column)])) > 1 for column in columns)


def _others(inputs: Sequence[str], known: Iterable[int]) -> list[int]:
    return [row for row in range(len(inputs)) if row not in known]


def alike(forms: dict[int, str]) -> list[list[int]]:
    """Rows of each form that several have, in order, by the form of each row."""
    same: dict[str, list[int]] = {}
    for row, form in forms.items():
        same.setdefault(form, []).append(row)
    return [rows for rows in same.values() if len(rows) > 1]


def listed(rows: Sequence[int]) -> str:
    """The first rows, given from 0, as a reader counts them."""
    more = ", ..." if len(rows) > MOST_NAMED else ""
    return f"rows {', '.join(str(row + 1) for row in rows[:MOST_NAMED])}{more}"
