"""The repair of aromatic bonds against slow searches, and on real rings."""

from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.aromatic import AROMATIC, fix_aromatic, kekulise
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens
from sparsebench.models.graphsgpt.tokens.detokenize import Aromatic, to_molecule, to_smiles
from sparsebench.models.graphsgpt.tokens.faithful import collect_bonds
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

Pairs = set[tuple[int, int]]
WAYS: tuple[Aromatic, ...] = get_args(Aromatic)


def graph(elements: list[int], aromatic: Pairs, single: Pairs = frozenset()) -> Chem.RWMol:
    molecule = Chem.RWMol()
    for element in elements:
        molecule.AddAtom(Chem.Atom(element))
    for order, pairs in ((AROMATIC, aromatic), (Chem.BondType.SINGLE, single)):
        for pair in sorted(pairs):
            molecule.AddBond(*pair, order)
            molecule.GetBondBetweenAtoms(*pair).SetIsAromatic(order == AROMATIC)
    for pair in aromatic:
        for end in pair:
            molecule.GetAtomWithIdx(end).SetIsAromatic(True)
    return molecule


def of_order(molecule: Chem.Mol, order: Chem.BondType) -> Pairs:
    return {
        tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())))
        for bond in molecule.GetBonds()
        if bond.GetBondType() == order
    }


def on_cycles(pairs: Pairs) -> Pairs:
    """The pairs on some cycle, by listing every simple cycle."""
    near: dict[int, set[int]] = {}
    for a, b in pairs:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    found: Pairs = set()

    def walk(path: list[int]) -> None:
        for atom in near[path[-1]]:
            if atom == path[0] and len(path) > 2:
                found.update(tuple(sorted(pair)) for pair in zip(path, [*path[1:], atom], strict=True))
            elif atom not in path and atom > path[0]:
                walk([*path, atom])

    for start in near:
        walk([start])
    return found


def test_bonds_stay_aromatic_on_cycles_of_aromatic_bonds(subtests: pytest.Subtests) -> None:
    for seed in range(40):
        with subtests.test(seed=seed):
            generator = np.random.default_rng(seed)
            count = int(generator.integers(2, 9))
            every = list(combinations(range(count), 2))
            chosen = [pair for pair in every if generator.random() < 2.6 / count]
            aromatic = {pair for pair in chosen if generator.random() < 0.8}
            before = graph([6] * count, aromatic, set(chosen) - aromatic)
            after = fix_aromatic(before)
            assert of_order(after, AROMATIC) == on_cycles(aromatic)
            assert of_order(after, Chem.BondType.SINGLE) == set(chosen) - on_cycles(aromatic)
            flagged = {atom.GetIdx() for atom in after.GetAtoms() if atom.GetIsAromatic()}
            assert flagged == {end for pair in on_cycles(aromatic) for end in pair}
            assert of_order(before, AROMATIC) == aromatic  # the argument is left as it was


def test_the_perimeter_of_azulene_stays() -> None:
    """No smallest ring of it is all-aromatic, the ring of ten is."""
    perimeter = {(a, a + 1) for a in range(9)} | {(0, 9)}
    fixed = fix_aromatic(graph([6] * 10, perimeter, {(0, 4)}))
    assert of_order(fixed, AROMATIC) == perimeter
    Chem.SanitizeMol(fixed)


def test_two_rings_and_the_bond_between() -> None:
    """Biphenyl written with an aromatic bond between the rings, and an aromatic tail."""
    rings = {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (6, 7), (7, 8), (8, 9), (9, 10), (10, 11), (6, 11)}
    fixed = fix_aromatic(graph([6] * 13, rings | {(0, 6), (9, 12)}))
    Chem.SanitizeMol(fixed)
    assert Chem.MolToSmiles(fixed) == "Cc1ccc(-c2ccccc2)cc1"


def test_double_bonds_cover_as_many_carbons_as_possible(subtests: pytest.Subtests) -> None:
    """Beside every choice of double bonds in small graphs."""
    for seed in range(40):
        with subtests.test(seed=seed):
            generator = np.random.default_rng(seed)
            count = int(generator.integers(2, 8))
            elements = [int(z) for z in generator.choice([6, 6, 6, 7, 8, 5], count)]
            degree, pairs = [0] * count, set()
            for a, b in combinations(range(count), 2):
                if generator.random() < 0.5 and all(degree[end] < {6: 4, 8: 2}.get(elements[end], 3) for end in (a, b)):
                    pairs.add((a, b))
                    degree[a], degree[b] = degree[a] + 1, degree[b] + 1
            result = kekulise(graph(elements, pairs))
            double = of_order(result, Chem.BondType.DOUBLE)
            assert not of_order(result, AROMATIC)
            assert double | of_order(result, Chem.BondType.SINGLE) == pairs
            room = [degree[a] < {6: 4, 8: 2}.get(elements[a], 3) for a in range(count)]
            most = max(carbons(choice, elements) for choice in matchings(sorted(pairs), room))
            assert carbons(double, elements) == most and double in matchings(sorted(pairs), room)
            Chem.SanitizeMol(result)


def matchings(pairs: list[tuple[int, int]], room: list[bool]) -> list[Pairs]:
    found: list[Pairs] = [set()]
    for a, b in pairs:
        if room[a] and room[b]:
            found += [{*old, (a, b)} for old in found if not {a, b} & {end for pair in old for end in pair}]
    return found


def carbons(pairs: Pairs, elements: list[int]) -> int:
    return sum(elements[end] == 6 for pair in pairs for end in pair)


RINGS = [
    "c1cc[nH]c1",
    "c1ccc2[nH]ccc2c1",
    "O=c1cccc[nH]1",
    "c1cnc[nH]1",
    "OCCCNc1ncnc2c1[nH]c1ccc(Br)cc12",
    "Cc1c2c(=O)[nH]c3ccccc3c2nn1-c1ccccc1",
    "Cc1cccc(C)c1NC(=O)c1cc2cccnc2[nH]c1=O",
    "Cn1c(=O)[nH]c(=O)c2[nH]cnc21",
    "c1ccc2c(c1)[nH]c1ccccc12",
    "c1coc(-c2ccc[nH]2)c1",
    "c1csc(-c2cc[nH]n2)c1",
    "c1cc[pH]c1",
    "Cn1cccc1-c1ccc[nH]1",
    "O=S1(=O)c2ccccc2-c2ccccc21",
]


def test_rings_get_their_hydrogens_back(subtests: pytest.Subtests) -> None:
    """The same graph with as many hydrogens and the same aromatic bonds; which of two nitrogens has one is lost."""
    for smiles in RINGS:
        with subtests.test(smiles=smiles):
            vocabulary = Vocabulary.faithful(collect_bonds([smiles]))
            tokens = Tokenizer(vocabulary)(smiles)[0]
            expected, back = Chem.MolFromSmiles(smiles), to_molecule(tokens, vocabulary, "completed")
            assert hydrogens(back) == hydrogens(expected)
            assert Chem.MolToSmiles(heavy(back)) == Chem.MolToSmiles(heavy(expected))
            if "[" in smiles:
                with pytest.raises(ModelError, match="kekulize"):
                    to_molecule(tokens, vocabulary, "fixed")


def test_a_ring_that_has_a_kekule_form_without_its_hydrogens_keeps_that() -> None:
    """Nothing in the tokens tells a benzimidazolone from the quinone that lacks two hydrogens."""
    smiles = "O=c1[nH]c2ccccc2[nH]1"
    vocabulary = Vocabulary.faithful(collect_bonds([smiles]))
    tokens = Tokenizer(vocabulary)(smiles)[0]
    assert {to_smiles(tokens, vocabulary, way) for way in WAYS} == {"O=C1N=c2ccccc2=N1"}


def hydrogens(molecule: Chem.Mol) -> int:
    return sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())


def heavy(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule with bonds that are aromatic or of order 1, 2, 3, and nothing about hydrogens."""
    bare = Chem.RWMol()
    for atom in molecule.GetAtoms():
        new = Chem.Atom(atom.GetAtomicNum())
        new.SetNoImplicit(True)
        bare.AddAtom(new)
    for bond in molecule.GetBonds():
        bare.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond.GetBondType())
    return bare.GetMol()


CHAIN = Vocabulary.faithful([(6, 6, 1.5), (6, 7, 1.5), (6, 8, 1)])
AROMATIC_CC, AROMATIC_CN = (CHAIN.edge_ids[edge] for edge in CHAIN.edges if edge.order == 1.5)


def chain_of(*edges: tuple[int, int, int]) -> MoleculeTokens:
    """(token, begin, end) edges; all atoms are carbons."""
    rows, count = [(7, 0, 0, 1)], 1
    for token, begin, end in edges:
        rows.append((token, begin, end, 0))
        if end == count:
            rows.append((7, end, end, 1))
            count += 1
    return np.array(rows, dtype=np.int16).T


def test_a_chain_that_is_written_aromatic() -> None:
    chain = chain_of((AROMATIC_CC, 0, 1), (AROMATIC_CC, 1, 2))
    with pytest.raises(ModelError, match="non-ring"):
        to_molecule(chain, CHAIN)
    assert to_smiles(chain, CHAIN, "fixed") == to_smiles(chain, CHAIN, "completed") == "CCC"
    with pytest.raises(ModelError, match="aromatic"):
        to_molecule(chain, CHAIN, "repaired")


def test_a_ring_of_three_carbons_and_one_atom() -> None:
    ring = chain_of((AROMATIC_CC, 0, 1), (AROMATIC_CC, 1, 2), (AROMATIC_CC, 2, 0))
    with pytest.raises(ModelError, match="kekulize"):
        to_molecule(ring, CHAIN, "fixed")
    assert to_smiles(ring, CHAIN, "completed") == "C1=CC1"
    assert to_smiles(chain_of(), CHAIN, "completed") == "C"


def test_what_cannot_be_repaired_is_refused() -> None:
    star = chain_of(*((AROMATIC_CC, 0, end) for end in range(1, 6)))
    with pytest.raises(ModelError, match="valence"):
        to_molecule(star, CHAIN, "completed")
