from collections.abc import Iterator
from itertools import product

import pytest
import torch
from rdkit import Chem, rdBase

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.decoding.valence import Edge, Molecules, max_valence
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..model_cases import edge

ORDERS = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, None)
SOME = Vocabulary.improved([(6, 0), (7, 0), (8, -1), (7, 1), (9, 0)])
FRAGMENT, CAP = 4, 5
WITHOUT_CLEANUP = Chem.SanitizeFlags.SANITIZE_ALL ^ Chem.SanitizeFlags.SANITIZE_CLEANUP


def by_rdkit(molecule: Chem.RWMol, bond: int, begin: int, end: int, atom: int) -> Chem.RWMol | None:
    """The molecule with the edge, or None if it is no molecule or the edge is not of the tokens' form. Without the
    clean-up, which gives five-valent nitrogen a charge."""
    count = molecule.GetNumAtoms()
    if not begin < end <= count or begin >= count or end >= CAP or (bond == FRAGMENT and (begin, end) != (0, count)):
        return None
    after = Chem.RWMol(molecule)
    if end == count:
        new = Chem.Atom(SOME.nodes[atom].element)
        new.SetFormalCharge(SOME.nodes[atom].charge)
        after.AddAtom(new)
    if bond != FRAGMENT:
        if after.GetBondBetweenAtoms(begin, end):
            return None
        after.AddBond(begin, end, ORDERS[bond])
    with rdBase.BlockLogs():
        failed = Chem.SanitizeMol(Chem.RWMol(after), WITHOUT_CLEANUP, catchErrors=True)
    return None if failed else after


def candidates(count: int) -> Iterator[tuple[int, int, int, int]]:
    yield from product(range(1, 5), range(count), range(count + 1), range(len(SOME.nodes)))


@pytest.mark.parametrize("seed", range(6))
def test_legal_is_what_rdkit_accepts(seed: int) -> None:
    """Every possible edge of molecules that grow at random up to the cap, one by one and by the joint mask."""
    generator = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(SOME.nodes), (), generator=generator))
    molecules, rows = Molecules(SOME, torch.tensor([first]), CAP), torch.tensor([0])
    graph = Chem.RWMol()
    graph.AddAtom(Chem.Atom(SOME.nodes[first].element))
    graph.GetAtomWithIdx(0).SetFormalCharge(SOME.nodes[first].charge)
    for _ in range(8):
        count = graph.GetNumAtoms()
        mask, allowed_new_atoms = molecules.mask(rows, count), molecules.allowed_new_atoms()
        legal = []
        for bond, begin, end, atom in candidates(count):
            after = by_rdkit(graph, bond, begin, end, atom)
            one = edge(bond, begin, end, atom)
            assert bool(molecules.is_valid_edge(one) & molecules.valence_ok(one)) == (after is not None), (
                bond,
                begin,
                end,
                atom,
            )
            assert bool(mask[0, bond, begin, end] & (allowed_new_atoms[bond, atom] | (end < count))) == (
                after is not None
            )
            legal += [((bond, begin, end, atom), after)] if after is not None else []
        if not legal:
            break
        chosen, graph = legal[int(torch.randint(len(legal), (), generator=generator))]
        molecules.add(edge(*chosen), torch.tensor([True]))
        assert int(molecules.present) == graph.GetNumAtoms()


def test_stop_is_always_possible() -> None:
    molecules = Molecules(SOME, torch.tensor([0]), CAP)
    assert bool(molecules.is_valid_edge(edge(0, 0, 0, 0)) & molecules.valence_ok(edge(0, 0, 0, 0)))
    assert not molecules.mask(torch.tensor([0]), 1)[:, 0].any()


def test_rows_are_independent_and_can_be_dropped() -> None:
    both = Molecules(SOME, torch.tensor([0, 2]), CAP)
    both.add(Edge(*(torch.tensor([v, v]) for v in (1, 0, 1, 1))), torch.tensor([True, False]))
    assert both.present.tolist() == [2, 1] and both.free[:, :2].tolist() == [[3, 2], [1, 0]]
    alone = Molecules(SOME, torch.tensor([2]), CAP)
    both.keep(torch.tensor([1]))
    assert torch.equal(both.mask(torch.tensor([0]), 1), alone.mask(torch.tensor([0]), 1))


def test_valences() -> None:
    known = {(6, 0): 4, (7, 0): 3, (7, 1): 4, (8, 0): 2, (8, -1): 1, (9, 0): 1, (15, 0): 5, (16, 0): 6, (17, -1): 0}
    assert {node: max_valence(*node) for node in known} == known


def test_every_atom_of_the_default_vocabulary_is_a_molecule() -> None:
    for element, charge in Vocabulary.improved().nodes:
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        molecule = Chem.RWMol()
        molecule.AddAtom(atom)
        assert Chem.SanitizeMol(molecule, catchErrors=True) == 0, (element, charge)
        assert 0 <= max_valence(element, charge) <= 8


def test_aromatic_vocabularies_are_refused() -> None:
    with pytest.raises(ModelError, match="Kekule"):
        Molecules(Vocabulary.faithful([(6, 6, 1.5)]), torch.tensor([0]), CAP)
