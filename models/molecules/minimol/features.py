"""Atoms and bonds of a molecule as MiniMol takes them (Klaser et al., arXiv 2404.14986; features of graphium 2.4.7).

A category is one-hot with a last place for everything that is not listed; the places are those of the released weights.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from rdkit import Chem
from torch_geometric.data import Data

from ...errors import ModelError
from ..smiles import parse
from .positions import adjacency_of, laplacian_positions, return_probabilities

# Shapes: N atoms, E bonds in both directions.

SYMBOLS = (
    *("C", "N", "O", "S", "F", "Si", "P", "Cl", "Br", "Mg", "Na", "Ca", "Fe", "As", "Al", "I", "B", "V", "K", "Tl"),
    *("Yb", "Sb", "Sn", "Ag", "Pd", "Co", "Se", "Ti", "Zn", "H", "Li", "Ge", "Cu", "Au", "Ni", "Cd", "In", "Mn"),
    *("Zr", "Cr", "Pt", "Hg", "Pb"),
)
GROUPS = tuple(range(1, 20))
"""Groups of the periodic table; 19 stands for the f-block, whose elements have none."""
PERIODS = tuple(range(1, 8))
VALENCES = tuple(range(7))
BONDS = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC)
STEREO = (
    *(Chem.BondStereo.STEREONONE, Chem.BondStereo.STEREOANY, Chem.BondStereo.STEREOZ),
    *(Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOCIS, Chem.BondStereo.STEREOTRANS),
)

ATOM_WIDTH = 5 + len(SYMBOLS) + len(GROUPS) + len(PERIODS) + len(VALENCES) + 4
BOND_WIDTH = len(BONDS) + len(STEREO) + 3

_NOBLE = (0, 2, 10, 18, 36, 54, 86)
"""The last element before each period."""


def minimol_graphs(smiles: Iterable[str]) -> list[Data]:
    """One graph per string, its atoms in RDKit's canonical order and without hydrogens.

    `x` (N, 85) are features of atoms, `edge_attr` (E, 13) of bonds, `edge_index` (2, E) holds each bond in both
    directions; `eigenvalues` and `eigenvectors` (N, 8) are those of the Laplacian, `returns` (N, 16) the probabilities
    that a random walk is back after 1 to 16 steps. Float32, rounded to half precision as in the release.

    The network reads eigenvectors as they are, and their signs, or their directions where eigenvalues are equal, are
    what LAPACK makes of the canonical order. The same molecule has the same features whatever its string; two builds of
    LAPACK may differ.

    Args:
        smiles: SMILES strings.

    Returns:
        Graphs in the same order.

    Raises:
        ModelError: with the row, a string that is no molecule, or an atom that is no element (`*`).

    Example: `minimol_graphs(["CCO"])[0].x.shape == (3, 85)`.
    """
    strings = list(smiles)
    graphs: list[Data] = []
    for row, molecule in enumerate(parse(strings)):
        if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
            raise ModelError(f"row {row}: {strings[row]!r} has an atom that is no element")
        graphs.append(_graph(_canonical(molecule)))
    return graphs


def _canonical(molecule: Chem.Mol) -> Chem.Mol:
    ranks = list(Chem.CanonicalRankAtoms(molecule))
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    return Chem.RemoveHs(Chem.RenumberAtoms(molecule, order))


def _graph(molecule: Chem.Mol) -> Data:
    atoms = [_atom(atom) for atom in molecule.GetAtoms()]
    ends: list[tuple[int, int]] = []
    bonds: list[list[float]] = []
    for bond in molecule.GetBonds():
        begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends += [(begin, end), (end, begin)]
        bonds += 2 * [_bond(bond)]
    edges = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    adjacency = adjacency_of(edges, len(atoms))
    values, vectors = laplacian_positions(adjacency)
    return Data(
        x=torch.tensor(atoms),
        edge_index=torch.from_numpy(np.ascontiguousarray(edges)),
        edge_attr=torch.tensor(bonds).reshape(-1, BOND_WIDTH),
        eigenvalues=_half(values),
        eigenvectors=_half(vectors),
        returns=_half(return_probabilities(adjacency)),
    )


def _atom(atom: Chem.Atom) -> list[float]:
    number = atom.GetAtomicNum()
    numbers = (
        atom.GetTotalDegree() - 2,  # from that of a carbon in a chain
        atom.GetFormalCharge(),
        atom.GetNumRadicalElectrons(),
        atom.GetIsAromatic(),
        atom.IsInRing(),
    )
    return [
        *(float(value) for value in numbers),
        *_one_hot(atom.GetSymbol(), SYMBOLS),
        *_one_hot(_group(number), GROUPS),
        *_one_hot(_period(number), PERIODS),
        *_one_hot(atom.GetTotalValence(), VALENCES),
    ]


def _bond(bond: Chem.Bond) -> list[float]:
    return [*_one_hot(bond.GetBondType(), BONDS), *_one_hot(bond.GetStereo(), STEREO), float(bond.IsInRing())]


def _one_hot(value: object, known: Sequence[object]) -> list[float]:
    found = [0.0] * (len(known) + 1)
    found[known.index(value) if value in known else -1] = 1.0
    return found


def _period(number: int) -> int:
    return sum(number > last for last in _NOBLE)


def _group(number: int) -> int:
    """The group of an element, 19 in the f-block."""
    period = _period(number)
    place = number - _NOBLE[period - 1]
    if period == 1:
        return 1 if place == 1 else 18
    if period <= 3:
        return place if place <= 2 else place + 10
    if period <= 5 or place <= 3:
        return place
    return 19 if place <= 17 else place - 14


def _half(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float16).astype(np.float32))
