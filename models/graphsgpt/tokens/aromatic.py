"""Aromatic bonds of molecules that were read from faithful tokens, and so have neither charges nor hydrogens."""

from __future__ import annotations

from collections.abc import Mapping

from rdkit import Chem

AROMATIC = Chem.BondType.AROMATIC
CARBON = 6


def fix_aromatic(molecule: Chem.Mol) -> Chem.RWMol:
    """A copy in which aromatic bonds that lie in no ring of aromatic bonds alone are single (arXiv 2402.02464).

    The published search lists all cycles, which takes exponential time in fused systems; a bond lies in some cycle of
    aromatic bonds if it is a ring bond of the graph that these form by themselves, which is what RDKit is asked here.
    (The smallest rings of the molecule will not do: azulene's perimeter is aromatic, the bond across is not.) As
    published, a bond becomes single, else double, else triple as the valences allow; single is always allowed where an
    aromatic bond was. The result is not sanitised.

    Neither here nor anywhere else do we set RDKit's `kekulize` flag on the way back to a molecule, as the published
    evaluation does. With RDKit 2023.9 that returned rings without a Kekule form, those of pyrrole or indole, whose
    hydrogen the tokens lack, as fully saturated molecules, and counted them: of the tokens of 1,500 real MOSES
    molecules 99.7 % were then valid and 88.8 % the same molecule, against 89.2 % and 88.8 % without; of ZINC250k
    95.3 % and 59.1 %, against 88.0 % and 59.1 %. Later releases of RDKit do not do so any more. Compare a published
    validity with that in mind. Here such a molecule fails, or `kekulise` gives it its hydrogen.
    """
    result = Chem.RWMol(molecule)
    aromatic = _aromatic(molecule)
    alone = Chem.RWMol()
    for _ in range(molecule.GetNumAtoms()):
        alone.AddAtom(Chem.Atom(CARBON))
    for bond in aromatic:
        alone.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), AROMATIC)
    Chem.FastFindRings(alone)
    orders: dict[int, Chem.BondType] = {}
    for bond, copy in zip(aromatic, alone.GetBonds(), strict=True):
        if not copy.IsInRing():
            orders[bond.GetIdx()] = Chem.BondType.SINGLE
    _set(result, orders)
    return result


def kekulise(molecule: Chem.Mol) -> Chem.RWMol:
    """A copy without aromatic bonds: as many carbons as possible get a double bond in their place, then other atoms.

    For atoms without charges that may take any number of hydrogens. One that has no room in its lowest possible valence
    (the oxygen of furan, the sulphur of thiophene, a substituted nitrogen) gets no double bond, and one that goes
    without (a nitrogen of pyrrole) hydrogens instead. Those are first the neighbours of carbons without room (lactams),
    then atoms of five-membered rings. The result is not sanitised; RDKit accepts it if it accepts the sums of bond
    orders with all aromatic bonds single.
    """
    result = Chem.RWMol(molecule)
    orders: dict[int, Chem.BondType] = {}
    pairs = []
    for bond in _aromatic(molecule):
        orders[bond.GetIdx()] = Chem.BondType.SINGLE
        pairs.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
    for pair in _matching(pairs, _values(molecule)):
        orders[molecule.GetBondBetweenAtoms(*pair).GetIdx()] = Chem.BondType.DOUBLE
    _set(result, orders)
    return result


def _aromatic(molecule: Chem.Mol) -> list[Chem.Bond]:
    return [bond for bond in molecule.GetBonds() if bond.GetBondType() == AROMATIC]


def _values(molecule: Chem.Mol) -> dict[int, int]:
    """For each atom that has room for a double bond, how much one is worth to it: of one carbon more than of all other
    atoms together."""
    atoms = list(molecule.GetAtoms())
    in_ring_of_five: set[int] = set()
    for ring in Chem.GetSymmSSSR(molecule):
        if len(ring) == 5:
            in_ring_of_five.update(ring)
    values = {}
    for atom in atoms:
        if not _has_room(atom):
            continue
        if atom.GetAtomicNum() == CARBON:
            value = 3 * len(atoms) + 1
        elif _beside_full_carbon(atom):  # a lactam's nitrogen is the first to go without, and get a hydrogen
            value = 1
        elif atom.GetIdx() in in_ring_of_five:  # then that of a pyrrole
            value = 2
        else:
            value = 3
        values[atom.GetIdx()] = value
    return values


def _has_room(atom: Chem.Atom) -> bool:
    """Whether the atom has room for a double bond in its lowest possible valence."""
    used = sum(int(bond.GetBondTypeAsDouble()) for bond in atom.GetBonds())
    for valence in sorted(Chem.GetPeriodicTable().GetValenceList(atom.GetAtomicNum())):
        if valence >= used:
            return valence > used
    return False


def _beside_full_carbon(atom: Chem.Atom) -> bool:
    return any(near.GetAtomicNum() == CARBON and not _has_room(near) for near in atom.GetNeighbors())


def _matching(pairs: list[tuple[int, int]], values: dict[int, int]) -> set[tuple[int, int]]:
    """Pairs of atoms that have a value, none of them twice, of the largest total value."""
    import networkx

    graph = networkx.Graph()
    for a, b in pairs:
        if a in values and b in values:
            graph.add_edge(a, b, weight=values[a] + values[b])
    return networkx.max_weight_matching(graph)


def _set(molecule: Chem.RWMol, orders: Mapping[int, Chem.BondType]) -> None:
    """Give the bonds these orders, and mark as aromatic the bonds that are and their atoms."""
    for index, order in orders.items():
        bond = molecule.GetBondWithIdx(index)
        bond.SetBondType(order)
        bond.SetIsAromatic(False)
    kept: set[int] = set()
    for bond in _aromatic(molecule):
        kept |= {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}
    for atom in molecule.GetAtoms():
        atom.SetIsAromatic(atom.GetIdx() in kept)
