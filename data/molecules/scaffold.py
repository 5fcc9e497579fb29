"""Scaffold splits (MoleculeNet, Wu et al., 2018): one Bemis-Murcko scaffold, one part."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MoleculeError
from .table import parse_failure

if TYPE_CHECKING:
    import numpy as np


class SplitIndices(NamedTuple):
    """Sorted row numbers, int64, of the three parts; every row is in exactly one."""

    train: "np.ndarray"
    val: "np.ndarray"
    test: "np.ndarray"


def scaffold_of(smiles: str, chirality: bool = False) -> str:
    """Canonical SMILES of the Bemis-Murcko scaffold.

    Args:
        smiles: of the molecule.
        chirality: keep it in the scaffold.

    Returns:
        The SMILES; "" for a molecule without rings.
    """
    from rdkit import rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    with rdBase.BlockLogs():
        return MurckoScaffold.MurckoScaffoldSmiles(smiles=smiles, includeChirality=chirality)


def scaffold_groups(smiles: Sequence[str], chirality: bool = False) -> list[list[int]]:
    """Rows by scaffold, the largest group first; of two groups of one size, the one whose first row comes later.

    Args:
        smiles: of each row.
        chirality: keep it in the scaffold.

    Returns:
        The rows of each group.

    Raises:
        MoleculeError: a string that cannot be read; the message has the row number and RDKit's reason.
    """
    groups = defaultdict(list)
    for row, text in enumerate(smiles):
        reason = parse_failure(text)
        if reason:
            raise MoleculeError(f"row {row}: RDKit cannot read {text!r}: {reason}; leave the row out")
        groups[scaffold_of(text, chirality)].append(row)
    return sorted(groups.values(), key=lambda rows: (len(rows), rows[0]), reverse=True)


def scaffold_split(
    smiles: Sequence[str],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    *,
    balanced: int | None = None,
    chirality: bool = False,
) -> SplitIndices:
    """Split into train, validation and test so that no scaffold is in two parts.

    Groups are dealt in order: to train while they fit its fraction, else to validation while they fit that of both,
    else to test. By default the largest come first: deterministic, with rare scaffolds in the test part, and in the
    order of DeepChem's splitter. Scores under different splits are not comparable.

    Args:
        smiles: of each row.
        fractions: of train, validation and test.
        balanced: a seed by which the order of the groups is shuffled; only groups larger than half the validation or
            test part are then sure to go to train (the "scaffold balanced" split of GROVER and Chemprop).
        chirality: keep it in the scaffold, as the split of GEM and Uni-Mol does.

    Returns:
        The rows of each part.

    Raises:
        MoleculeError: a string that cannot be read.
        ValueError: fractions that are not positive or do not sum to 1.
    """
    return deal_groups(scaffold_groups(smiles, chirality), fractions, balanced)


def deal_groups(
    groups: list[list[int]], fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), balanced: int | None = None
) -> SplitIndices:
    """The split of `scaffold_split` from its groups, for whoever splits the same molecules again by another seed.

    Args:
        groups: what `scaffold_groups` gave.
        fractions: of train, validation and test.
        balanced: as for `scaffold_split`.

    Returns:
        The rows of each part.

    Raises:
        ValueError: fractions that are not positive or do not sum to 1.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions {fractions} must be positive and sum to 1")
    rows = sum(map(len, groups))
    if balanced is not None:
        groups = _shuffled(groups, balanced, rows * min(fractions[1:]) / 2)
    return _deal(groups, fractions[0] * rows, (fractions[0] + fractions[1]) * rows)


def _shuffled(groups: list[list[int]], seed: int, large: float) -> list[list[int]]:
    """Groups in random order, those with more than ``large`` rows first."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(groups))
    shuffled = [groups[index] for index in order]
    return sorted(shuffled, key=lambda rows: len(rows) <= large)  # a stable sort


def _deal(groups: list[list[int]], train_size: float, train_val_size: float) -> SplitIndices:
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    for rows in groups:
        if len(train) + len(rows) <= train_size:
            train += rows
        elif len(train) + len(val) + len(rows) <= train_val_size:
            val += rows
        else:
            test += rows
    return SplitIndices(_sorted(train), _sorted(val), _sorted(test))


def _sorted(rows: list[int]) -> "np.ndarray":
    import numpy as np

    return np.array(sorted(rows), dtype=np.int64)
