"""Molecules as graphs of torch-geometric, with categorical features of atoms and bonds."""

from collections.abc import Iterable

from ..errors import ModelError, optional
from .smiles import parse

with optional():
    from torch_geometric.data import Data
    from torch_geometric.utils.smiles import e_map, from_rdmol, x_map


ATOM_FEATURES = tuple(len(values) for values in x_map.values())
BOND_FEATURES = tuple(len(values) for values in e_map.values())


def molecule_graphs(smiles: Iterable[str]) -> list[Data]:
    """One graph per string, without explicit hydrogens.

    `x` (atoms, 9) and `edge_attr` (2 * bonds, 3) are int64 categories with `ATOM_FEATURES` and `BOND_FEATURES` values;
    `edge_index` (2, 2 * bonds) holds each bond in both directions. The category of a stereo centre is that of
    torch-geometric, RDKit's tag, which depends on the order in which the string names its neighbours: two strings of
    one chiral molecule can have other graphs, and canonical ones have not. Raises ValueError on an invalid string, or
    on an atom or bond outside the categories.
    """
    strings = list(smiles)
    graphs = []
    for row, molecule in enumerate(parse(strings)):
        try:
            graphs.append(from_rdmol(molecule))
        except ValueError as error:
            raise ModelError(f"row {row}: {strings[row]!r} has an atom or bond without a category: {error}") from error
    return graphs
