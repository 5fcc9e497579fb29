"""The user's own molecules without any label: what a generator trains on, and others of the same kind to compare with.

The folder is that of `labelled.py`, `SPARSEBENCH_OWN_MOLECULES`; of its table the column of SMILES is read, and one
that names parts. Other columns need not be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cache.ledger import cached_reads
from ..errors import TableError
from ..identity import identity
from ..labelled.dealt import Part, Rejected, named_parts
from ..molecules.table import parse_failure
from ..sources import ensure
from .columns import Columns, check_named, input_column, split_column
from .labelled import SOURCES
from .table_folder import table_in
from .tables import Table, read_table

SOURCE = SOURCES["molecules"]
TESTED = 0.2
"""Of the molecules, where no column names the parts."""
LEAST = 2
"""Molecules of the test part: a covariance needs two."""


@dataclass(frozen=True, eq=False)
class OwnStructures:
    """Canonical SMILES without stereo and isotopes, which no generator here writes, each once: those to train on and
    those to compare with, in random order; and the rows that are in neither part."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    rejected: tuple[Rejected, ...]


def own_structures(folder: Path | None = None) -> OwnStructures:
    """What the user's folder holds; read once for each content.

    Args:
        folder: the folder; None is the one that the environment variable of the source names.

    Returns:
        The molecules.

    Raises:
        LocalFolderError: there is no such folder.
        TableError: one without molecules for both parts.
    """
    place = ensure(SOURCE, folder)
    return _read(place, identity(SOURCE) if folder is None else "")


@cached_reads(maxsize=4)
def _read(place: Path, content: str) -> OwnStructures:
    """`content` is that of the folder: when it changes, what was read before is not given again."""
    file, given = table_in(place, SOURCE)
    return structures(read_table(file), given)


def structures(table: Table, given: Columns) -> OwnStructures:
    """The different molecules of a table in two parts; every other row is in `rejected`.

    A fifth of them, at random, is the test part, unless a column names the parts: then a validation part stays out,
    since nothing is chosen on it.

    Args:
        table: all rows.
        given: the columns that were named; targets are not looked at.

    Returns:
        The molecules.

    Raises:
        TableError: an unknown column, no training molecule, fewer than two test molecules.
    """
    check_named(table, given.input, given.split)
    split = given.split or split_column(table, given)
    texts = [text.strip() for text in table.columns[given.input or input_column(table, "molecules", (split,))]]
    named = named_parts(table.columns[split], str(table.file)) if split else None
    found, bad = _different(texts, table.broken)
    order = _shuffled(list(found))
    parts = _dealt(order) if named is None else {row: named[row] for row in order}
    bad |= {row: "a validation part, and nothing is chosen here" for row in order if parts[row] == "val"}
    train = tuple(found[row] for row in order if parts[row] == "train")
    test = tuple(found[row] for row in order if parts[row] == "test")
    if not train or len(test) < LEAST:
        counts = f"{len(train)} to train on and {len(test)} to compare with"
        raise TableError(f"{table.file}: its different molecules are {counts}; one and {LEAST} are needed")
    return OwnStructures(train, test, tuple(Rejected(f"row {row + 1}", bad[row]) for row in sorted(bad)))


def _different(texts: Sequence[str], broken: Mapping[int, str]) -> tuple[dict[int, str], dict[int, str]]:
    """Canonical SMILES by row, each once, and why the other rows are left out."""
    found: dict[int, str] = {}
    bad: dict[int, str] = dict(broken)
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if row in bad:
            continue
        reason = parse_failure(text) if text else "no SMILES"
        if reason:
            bad[row] = reason if not text else f"RDKit cannot read {text!r}: {reason}"
            continue
        canonical = _flat(text)
        if canonical in first:
            bad[row] = f"the same molecule, but for stereo and isotopes, as row {first[canonical] + 1}"
            continue
        first[canonical] = row
        found[row] = canonical
    return found, bad


def _flat(smiles: str) -> str:
    from rdkit.Chem import CanonSmiles

    # Twice: the first string is in the order of a molecule that still has its stereo.
    return CanonSmiles(CanonSmiles(smiles, useChiral=0))


def _shuffled(rows: Sequence[int]) -> list[int]:
    import numpy as np

    return [rows[place] for place in np.random.default_rng(0).permutation(len(rows)).tolist()]


def _dealt(order: Sequence[int]) -> dict[int, Part]:
    tested = set(order[: round(TESTED * len(order))])
    return {row: "test" if row in tested else "train" for row in order}
