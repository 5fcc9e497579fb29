"""Graphs of torch-geometric as RDKit molecules."""

from collections.abc import Iterable, Iterator
from typing import Any

from rdkit import Chem
from torch import Tensor
from torch.utils.data import Dataset

from .canonical import check_size
from .status import Rejection, TokenStatus
from .vocabulary import ELEMENTS

_ORDERS = {
    1.0: Chem.BondType.SINGLE,
    1.5: Chem.BondType.AROMATIC,
    2.0: Chem.BondType.DOUBLE,
    3.0: Chem.BondType.TRIPLE,
}
_ONE_HOT = (1.0, 2.0, 3.0, 1.5)  # columns of QM9's bonds


def is_one_graph(item: Any) -> bool:
    """Whether this is one graph, not a data set of them, which may have the same attributes."""
    return hasattr(item, "edge_index") and not isinstance(item, Dataset)


def is_batch(item: Any) -> bool:
    """Whether this is a batch of torch-geometric: one large graph to look at, many molecules in truth."""
    return hasattr(item, "to_data_list")


def single_molecules(molecules: Iterable[Any]) -> Iterator[Any]:
    """The molecules one by one, those of a batch as well, as a loader of torch-geometric gives them."""
    for item in molecules:
        if is_batch(item):
            yield from item.to_data_list()
        else:
            yield item


def from_graph(graph: Any) -> Chem.Mol:
    """An unsanitised molecule from a graph in one of two forms. Raises `Rejection`.

    Features of `torch_geometric.utils.from_smiles`: `x` (atoms, 9), `edge_attr` (edges, 3), `edge_index` (2, edges).
    Or `z` (atoms,), optionally formal `charge` (atoms,), `edge_index`, and the bonds in `edge_attr`: orders 1, 1.5, 2,
    3 (edges,) or (edges, 1), or QM9's one-hot single, double, triple, aromatic (edges, 4); hydrogens that are no atoms
    follow from the valence.
    """
    try:
        molecule = _atoms(graph)
        _add_bonds(molecule, graph)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise Rejection(TokenStatus.INVALID, f"not a graph of a molecule: {error}") from error
    check_size(molecule)
    return molecule.GetMol()


def _has_features(graph: Any) -> bool:
    x = graph.x
    return getattr(graph, "z", None) is None and isinstance(x, Tensor) and x.dim() == 2 and x.size(1) == 9


def _atoms(graph: Any) -> Chem.RWMol:
    molecule = Chem.RWMol()
    if _has_features(graph):
        for element, _, _, charge, hydrogens, *_ in graph.x.tolist():
            atom = _atom(element, charge - 5)
            atom.SetNumExplicitHs(int(hydrogens))
            atom.SetNoImplicit(True)
            molecule.AddAtom(atom)
        return molecule
    elements = graph.z.flatten().tolist()
    charge = getattr(graph, "charge", None)
    charges = [0] * len(elements) if charge is None else charge.flatten().tolist()
    for element, value in zip(elements, charges, strict=True):
        molecule.AddAtom(_atom(element, value))
    return molecule


def _atom(element: float, charge: float) -> Chem.Atom:
    if not 1 <= element <= ELEMENTS:
        raise ValueError(f"there is no element {element}")
    atom = Chem.Atom(int(element))
    atom.SetFormalCharge(int(charge))
    return atom


def _add_bonds(molecule: Chem.RWMol, graph: Any) -> None:
    kinds = _bond_types(graph)
    pairs = graph.edge_index.t().tolist()
    count = molecule.GetNumAtoms()
    seen: dict[tuple[int, int], Chem.BondType] = {}
    for (one, other), kind in zip(pairs, kinds, strict=True):
        if not 0 <= min(one, other) <= max(one, other) < count:
            raise ValueError(f"edge ({one}, {other}) in a graph of {count} atoms")
        key = (min(one, other), max(one, other))
        if key not in seen:
            molecule.AddBond(*key, kind)
        elif seen[key] != kind:
            raise ValueError(f"edge {key} is {seen[key].name} one way and {kind.name} the other")
        seen[key] = kind
    for (one, other), kind in seen.items():
        if kind == Chem.BondType.AROMATIC:
            molecule.GetBondBetweenAtoms(one, other).SetIsAromatic(True)
            for atom in (one, other):
                molecule.GetAtomWithIdx(atom).SetIsAromatic(True)


def _bond_types(graph: Any) -> list[Chem.BondType]:
    bonds = graph.edge_attr
    if bonds is None:
        if graph.edge_index.numel():
            raise ValueError("edge_attr, the bond orders, is missing")
        return []
    if _has_features(graph):
        return [Chem.BondType.values[int(kind)] for kind in bonds[:, 0].tolist()]
    if bonds.dim() == 2 and bonds.size(1) == len(_ONE_HOT):
        orders = [_ONE_HOT[kind] for kind in bonds.argmax(dim=1).tolist()]
    else:
        orders = bonds.flatten().tolist()
    return [_ORDERS[order] for order in orders]
