import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsebench.data.errors import MoleculeError
from sparsebench.data.molecules.scaffold import scaffold_groups, scaffold_of, scaffold_split

RINGS = ("c1ccccc1", "C1CCCC1", "c1ccncc1", "C1CCOC1", "c1ccc2ccccc2c1", "")


@st.composite
def molecules(draw: st.DrawFn) -> list[str]:
    """Chains of some length on one of six scaffolds."""
    return ["C" * draw(st.integers(1, 3)) + draw(st.sampled_from(RINGS)) for _ in range(draw(st.integers(0, 40)))]


@settings(max_examples=50, deadline=None)
@given(smiles=molecules(), balanced=st.none() | st.integers(0, 3), first=st.sampled_from([0.5, 0.8]))
def test_split_is_a_partition_by_scaffold(smiles: list[str], balanced: int | None, first: float):
    rest = (1 - first) / 2
    parts = scaffold_split(smiles, (first, rest, rest), balanced=balanced)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(smiles)))
    scaffolds = [{scaffold_of(smiles[row]) for row in part} for part in parts]
    assert not scaffolds[0] & scaffolds[1] and not scaffolds[0] & scaffolds[2] and not scaffolds[1] & scaffolds[2]
    assert len(parts.train) <= first * len(smiles) and len(parts.val) <= (first + rest) * len(smiles)
    again = scaffold_split(smiles, (first, rest, rest), balanced=balanced)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_largest_group_goes_to_train_and_later_ties_come_first():
    smiles = ["Cc1ccncc1", "Cc1ccccc1", "CCc1ccccc1", "C1CCCC1", "CC1CCCC1", "CCCc1ccccc1"]
    assert scaffold_groups(smiles) == [[1, 2, 5], [3, 4], [0]]
    assert scaffold_groups(["c1ccccc1", "C1CCCC1"]) == [[1], [0]]
    parts = scaffold_split(smiles, (0.5, 0.34, 0.16))
    assert [part.tolist() for part in parts] == [[1, 2, 5], [3, 4], [0]]


def test_chirality_can_separate_scaffolds():
    pair = ["C[C@H]1CC[C@@H](c2ccccc2)C1", "C[C@H]1CC[C@H](c2ccccc2)C1"]
    assert len(scaffold_groups(pair)) == 1
    stereo = ["C1C[C@@]2(CCOC2)CN1", "C1C[C@]2(CCOC2)CN1"]
    assert len(scaffold_groups(stereo)) == 1 and len(scaffold_groups(stereo, chirality=True)) == 2


def test_unreadable_smiles_is_named_by_its_row():
    with pytest.raises(MoleculeError, match=r"row 1: RDKit cannot read 'C1CC': not a SMILES string"):
        scaffold_split(["CC", "C1CC"])
    with pytest.raises(MoleculeError, match=r"row 0: .* valence"):
        scaffold_split(["C(C)(C)(C)(C)C"])


@pytest.mark.parametrize("fractions", [(0.8, 0.2, 0.0), (0.8, 0.1, 0.2)])
def test_fractions_are_checked(fractions: tuple[float, float, float]):
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        scaffold_split(["C"], fractions)


@pytest.mark.data
def test_freesolv_split():
    from sparsebench.data.molecules.tables import freesolv

    smiles = freesolv().smiles
    parts = scaffold_split(smiles)
    assert [len(part) for part in parts] == [513, 64, 65]
    shuffled = [scaffold_split(smiles, balanced=seed) for seed in range(3)]
    assert [len(part) for part in shuffled[0]] == [513, 64, 65]
    assert len({tuple(split.test) for split in shuffled}) == 3
