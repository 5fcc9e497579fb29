"""The user's own texts with a label, and own molecules with properties, in their three parts.

The folder that `SPARSEBENCH_OWN_LABELLED_TEXT` or `SPARSEBENCH_OWN_MOLECULES` names holds one table (`tables.py`), and,
where the columns cannot be guessed, `columns.json`: {"input": "SMILES", "targets": ["logS"], "split": ""}. `sparsebench
fit` makes such a folder.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cache.ledger import cached_reads
from ..errors import TableError
from ..identity import identity
from ..labelled.dealt import PARTS, Part, Rejected, complete, deal, named_parts
from ..labelled.table import normal_form
from ..sources import ensure
from .columns import Columns, Kind, choose_columns
from .repeated import conflicting_molecules, in_a_later_part, repeated_texts, same_molecules, together
from .table_folder import table_in
from .tables import Table, read_table
from .values import Goal, Targets, read_classes, read_properties

if TYPE_CHECKING:
    import numpy as np

SOURCES: dict[Kind, str] = {"text": "own-labelled-text", "molecules": "own-molecules"}
SPLIT_SEEDS = 20
"""Scaffold splits that are tried until each part of a table of classes has two of them."""


@dataclass(frozen=True, eq=False)
class OwnTable:
    """N usable rows: `inputs`, targets as in `Targets.values`, the part of each; what was left out, and why."""

    columns: Columns
    inputs: tuple[str, ...]
    values: "np.ndarray"
    goal: Goal
    classes: tuple[str, ...]
    parts: tuple[Part, ...]
    rejected: tuple[Rejected, ...]
    conflicting: tuple[str, ...]
    """Molecules that stand in several rows of one part with different values, with these rows from 1; all are used."""
    places: tuple[int, ...]
    """Where in the table each usable row stands, from 0."""

    @property
    def outputs(self) -> int:
        """Classes, or predicted columns."""
        return len(self.classes) or self.values.shape[1]

    def rows(self, part: Part) -> list[int]:
        """Rows of a part, in the order of the table."""
        return [row for row, own in enumerate(self.parts) if own == part]


def own_table(kind: Kind, folder: Path | None = None) -> OwnTable:
    """What the user's folder holds; read once for each content.

    Args:
        kind: texts or molecules.
        folder: the folder; None is the one that the environment variable of the source names.

    Returns:
        The table.

    Raises:
        LocalFolderError: there is no such folder.
        TableError: one that cannot be learnt from.
    """
    place = ensure(SOURCES[kind], folder)
    return _read(kind, place, identity(SOURCES[kind]) if folder is None else "")


@cached_reads(maxsize=4)
def _read(kind: Kind, place: Path, content: str) -> OwnTable:
    """`content` is that of the folder: when it changes, what was read before is not given again."""
    file, given = table_in(place, SOURCES[kind])
    return learnable(read_table(file), kind, given)


@functools.lru_cache(maxsize=16)
def dealt_again(table: OwnTable, number: int) -> OwnTable:
    """The molecules of a table in the parts of another split by scaffold.

    Args:
        table: with parts that it does not name itself.
        number: of the split, from 0, which is the one that the table has.

    Returns:
        The table with these parts.

    Raises:
        TableError: it names its parts, or none of twenty shuffles gives parts that can be learnt from.
    """
    if table.columns.split:
        raise TableError(f"its column {table.columns.split!r} names the parts, and there is no other split of it")
    targets = Targets(table.goal, table.values, table.classes, {})
    return replace(table, parts=tuple(_by_scaffold(table.inputs, targets, f"split {number}", number)))


def learnable(table: Table, kind: Kind, given: Columns) -> OwnTable:
    """The rows of a table that can be learnt from, in their parts; every other row is in `rejected`.

    Args:
        table: all rows.
        kind: what its inputs are.
        given: the columns that were named.

    Returns:
        The table.

    Raises:
        TableError: columns, labels or parts that cannot be learnt from.
    """
    columns = choose_columns(table, kind, given)
    where = str(table.file)
    if kind == "text":
        targets = read_classes(table.columns[columns.targets[0]], f"{where}, column {columns.targets[0]!r}")
        if len(columns.targets) > 1:
            raise TableError(f"{where}: texts have one label, not {len(columns.targets)}")
    else:
        targets = read_properties({name: table.columns[name] for name in columns.targets}, where)
    inputs = [text.strip() for text in table.columns[columns.input]]
    named = named_parts(table.columns[columns.split], where) if columns.split else None
    bad = {**targets.bad, **table.broken}
    bad |= _unreadable(kind, inputs, bad)
    same: list[list[int]] = []
    if kind == "text":
        bad |= repeated_texts(inputs, targets, named, bad)
    else:
        same = same_molecules(inputs, bad)
    if named is not None:
        bad |= in_a_later_part(same, named)
    kept = [row for row in range(len(inputs)) if row not in bad]
    if not kept:
        raise TableError(f"{where}: none of its {len(inputs)} rows can be used; of the first: {bad[0]}")
    chosen = _take(targets, kept, where)
    texts = [inputs[row] for row in kept]
    parts = _parts(kind, texts, chosen, None if named is None else [named[row] for row in kept], where)
    used = [[row for row in rows if row not in bad] for rows in same]
    if named is not None:
        # A part that the user did not name was cut from the training part row by row. A scaffold is never cut.
        place = {row: number for number, row in enumerate(kept)}
        parts = together(parts, [[place[row] for row in rows] for rows in used])
    rejected = tuple(Rejected(f"row {row + 1}", bad[row]) for row in sorted(bad))
    found = OwnTable(
        columns=columns,
        inputs=tuple(texts),
        values=chosen.values,
        goal=chosen.goal,
        classes=chosen.classes,
        parts=tuple(parts),
        rejected=rejected,
        conflicting=conflicting_molecules(used, inputs, targets),
        places=tuple(kept),
    )
    _check_parts(found, where)
    return found


def _unreadable(kind: Kind, inputs: Sequence[str], known: Iterable[int]) -> dict[int, str]:
    """Why an input cannot be used."""
    from ..molecules.table import parse_failure

    found = {}
    for row, text in enumerate(inputs):
        if row in known:
            continue
        if not text:
            found[row] = "no text" if kind == "text" else "no SMILES"
        elif kind == "molecules" and (reason := parse_failure(text)):
            found[row] = f"RDKit cannot read {text!r}: {reason}"
    return found


def _take(targets: Targets, kept: Sequence[int], where: str) -> Targets:
    """The targets of the rows that stay, without classes that none of them has. Raises `TableError` for one class."""
    import numpy as np

    values = targets.values[list(kept)]
    if targets.goal != "classification":
        return replace(targets, values=values)
    used, numbers = np.unique(values, return_inverse=True)
    if len(used) < 2:
        raise TableError(f"{where}: its usable rows have one class, {targets.classes[used[0]]!r}; two are needed")
    return replace(targets, values=numbers.astype(np.int64), classes=tuple(targets.classes[place] for place in used))


def _parts(
    kind: Kind, inputs: Sequence[str], targets: Targets, named: Sequence[Part] | None, where: str
) -> Sequence[Part]:
    labels: list[Any] = ["all"] * len(inputs)
    if targets.goal == "classification":
        labels = [targets.classes[number] for number in targets.values]
    keys = [normal_form(text) for text in inputs] if kind == "text" else list(inputs)
    if named is not None:
        return complete(named, labels, keys, where)
    if kind == "text":
        return deal(labels, keys, where)
    return _by_scaffold(inputs, targets, where)


def _by_scaffold(inputs: Sequence[str], targets: Targets, where: str, number: int = 0) -> list[Part]:
    """No scaffold is in two parts; of classes, the first of twenty shuffles that has two in each part.

    Each number has twenty shuffles of its own.
    """
    from ..molecules.scaffold import deal_groups

    groups = _scaffolds(tuple(inputs))
    found: list[Part] = []
    for seed in range(SPLIT_SEEDS * number, SPLIT_SEEDS * (number + 1)):
        found = ["train"] * len(inputs)
        split = deal_groups(groups, (0.6, 0.2, 0.2), balanced=seed)
        for part, rows in zip(PARTS, split, strict=True):
            for row in rows:
                found[row] = part
        if _fault(targets, found) is None:
            return found
    raise TableError(
        f"{where}: no split by scaffold works ({_fault(targets, found)}): add molecules, or name a column of parts"
    )


@functools.lru_cache(maxsize=4)
def _scaffolds(inputs: tuple[str, ...]) -> list[list[int]]:
    """Rows by scaffold, found once for all splits of a table."""
    from ..molecules.scaffold import scaffold_groups

    return scaffold_groups(inputs)


def _check_parts(table: OwnTable, where: str) -> None:
    fault = _fault(Targets(table.goal, table.values, table.classes, {}), table.parts)
    if fault is not None:
        raise TableError(f"{where}: {fault}")


def _fault(targets: Targets, parts: Sequence[Part]) -> str | None:
    """Why parts cannot be trained on and scored."""
    import numpy as np

    for part in PARTS:
        rows = [row for row, own in enumerate(parts) if own == part]
        if len(rows) < 2:
            return f"its part {part} has {len(rows)} rows, and two are needed"
        values = targets.values[rows]
        if targets.goal == "classification":
            if part == "train" and len(np.unique(values)) < len(targets.classes):
                absent = sorted(set(range(len(targets.classes))) - set(values.tolist()))
                return f"the class {targets.classes[absent[0]]!r} has no training example"
            continue
        counts = [len(np.unique(column[~np.isnan(column)])) for column in values.T]
        if (targets.goal == "multilabel" and max(counts) < 2) or (part == "train" and min(counts) < 1):
            return f"a column to predict has too few different values in its part {part}"
    return None
