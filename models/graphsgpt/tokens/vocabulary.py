"""Token ids of atoms and bonds (GraphsGPT, arXiv 2402.02464), and the classes that the model's heads predict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

from rdkit import Chem

from ...errors import ModelError, check_choice

Mode = Literal["improved", "faithful"]

PAD = 0
BOS = 1
FIRST_NODE = 2
STOP_CLASS = 0  # of the edge head: no further edge
MAX_ATOMS = 128
ELEMENTS = 118
FIELDS = {"mode", "nodes", "edges"}  # of a vocabulary in a configuration file

# Charged states that drug-like, metal-organic and inorganic sets hold; each element is also there without a charge.
_CHARGED = {
    -5: "Cu U",
    -4: "Ca Fe Co Ni Cu Zn Ru Rh Pd Ir Pt",
    -3: "N P Fe Co Ni Cu Zn Ga Mo Pd Ir Pt Au Tl",
    -2: "N O Si P S Ca Ti Fe Co Ni Cu Zn Se Ru Pd Te Pt Hg",
    -1: "H B C N O F Al Si P S Cl V Fe Cu Ga As Se Br Mo Ag Sb Te I Au Hg Tl",
    1: "H Li B C N O F Na Si P S Cl K V Mn Fe Co Cu Ga As Se Br Rb Mo Ru Rh Ag Sb Te I Cs Re Ir Au Hg Tl Bi Fr",
    2: "Be B Mg S Cl Ca Ti V Cr Mn Fe Co Ni Cu Zn Ge Br Sr Mo Ru Rh Pd Ag Cd Sn I Ba W Pt Hg Pb U",
    3: "Al Cl Sc Ti V Cr Mn Fe Co Ni Ga As Br Y Mo Ru Rh In Sb I La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Re "
    "Ir Au Tl Bi",
    4: "Ti V Mn Ge Zr Mo Pd Sn Ce Hf Os Ir Pt Pb Th U",
    5: "V Nb Mo Sb Ta Re",
    6: "Cr Mo W U",
    7: "Mn Re",
    8: "Os",
}


class NodeType(NamedTuple):
    """An atom: atomic number and formal charge (always 0 in faithful mode)."""

    element: int
    charge: int


class EdgeType(NamedTuple):
    """A bond: order 1, 2, 3, in faithful mode also 1.5; order 0 is the edge that starts a new fragment.

    In faithful mode `low` and `high` are the atomic numbers of the two ends, low <= high; in improved mode both are 0.
    """

    low: int
    high: int
    order: float


NEW_FRAGMENT = EdgeType(0, 0, 0)
_KEKULE = (EdgeType(0, 0, 1), EdgeType(0, 0, 2), EdgeType(0, 0, 3), NEW_FRAGMENT)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Ids: 0 padding, 1 beginning of sequence, then the node types, then the edge types.

    Node class c of a head is `nodes[c]`, token `FIRST_NODE + c`. Edge class 0 is stop and class c > 0 is
    `edges[c - 1]`, token `first_edge + c - 1`. In improved mode nothing about a bond tells the new atom's type: the
    model predicts edge type, begin, end and, where the end is new, the node type. In faithful mode the new atom is
    the other element of the `EdgeType`.
    Make one with `Vocabulary.improved()` or `Vocabulary.faithful(bonds)`.
    """

    mode: Mode
    nodes: tuple[NodeType, ...]
    edges: tuple[EdgeType, ...]

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, get_args(Mode))
        for name, types in (("nodes", self.nodes), ("edges", self.edges)):
            if not types or len(set(types)) < len(types):
                raise ModelError(f"{name} must hold at least one type and none twice, got {len(types)}")

    @classmethod
    def improved(cls, nodes: Iterable[tuple[int, int]] | None = None) -> Vocabulary:
        """(element, charge) atoms and Kekule bonds.

        Args:
            nodes: the atoms; None is all elements and the charged states seen in practice.
        """
        if nodes is None:
            return cls(mode="improved", nodes=(*_neutral_nodes(), *_charged_nodes()), edges=_KEKULE)
        return cls(mode="improved", nodes=tuple(NodeType(*node) for node in nodes), edges=_KEKULE)

    @classmethod
    def faithful(cls, bonds: Iterable[tuple[int, int, float]]) -> Vocabulary:
        """Elements 1..118 at ids 2..119, and bonds, sorted, from id 120.

        Args:
            bonds: (low, high, order) of each, as `collect_bonds` gives them.
        """
        edges = {EdgeType(int(low), int(high), float(order)) for low, high, order in bonds}
        return cls(mode="faithful", nodes=_neutral_nodes(), edges=tuple(sorted(edges)))

    @property
    def first_edge(self) -> int:
        """Id of the first edge token; a token is an edge from here on."""
        return FIRST_NODE + len(self.nodes)

    @property
    def size(self) -> int:
        """Number of token ids."""
        return self.first_edge + len(self.edges)

    @property
    def node_classes(self) -> int:
        """Classes of the heads that predict an atom's type."""
        return len(self.nodes)

    @property
    def edge_classes(self) -> int:
        """Classes of the head that predicts the next edge's type, stop included."""
        return 1 + len(self.edges)

    @cached_property
    def new_fragment(self) -> int | None:
        """Id of the token that starts a new fragment; None in faithful mode, which has none."""
        return self.edge_ids.get(NEW_FRAGMENT)

    @cached_property
    def node_ids(self) -> dict[NodeType, int]:
        """Token id of each node type."""
        return {node: FIRST_NODE + index for index, node in enumerate(self.nodes)}

    @cached_property
    def edge_ids(self) -> dict[EdgeType, int]:
        """Token id of each edge type."""
        return {edge: self.first_edge + index for index, edge in enumerate(self.edges)}

    def to_dict(self) -> dict[str, Any]:
        """Plain lists for a configuration file."""
        return {"mode": self.mode, "nodes": list(map(list, self.nodes)), "edges": list(map(list, self.edges))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that `to_dict` wrote.

        Args:
            values: plain lists by field.

        Raises:
            ModelError: a field is missing or unknown.
        """
        if set(values) != FIELDS:
            raise ModelError(f"a vocabulary has the fields {sorted(FIELDS)}, got {sorted(values)}")
        nodes = tuple(NodeType(*node) for node in values["nodes"])
        edges = tuple(EdgeType(*edge) for edge in values["edges"])
        return cls(mode=values["mode"], nodes=nodes, edges=edges)


def _neutral_nodes() -> tuple[NodeType, ...]:
    return tuple(NodeType(element, 0) for element in range(1, ELEMENTS + 1))


def _charged_nodes() -> list[NodeType]:
    table = Chem.GetPeriodicTable()
    nodes = []
    for charge, symbols in _CHARGED.items():
        for symbol in symbols.split():
            nodes.append(NodeType(table.GetAtomicNumber(symbol), charge))
    return sorted(nodes)
