"""The published rules of decoding the slow way: one molecule, one attempt after the other, no cache."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens, collate
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from .model_cases import small

VALENCES = {"B": 3, "C": 4, "N": 3, "O": 2, "F": 1, "Si": 4, "S": 6, "Cl": 1, "Br": 1, "I": 1}
NUMBERS = {"B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "Si": 14, "S": 16, "Cl": 17, "Br": 35, "I": 53}
TABLE = {NUMBERS[symbol]: valence for symbol, valence in VALENCES.items()}
CARBON_BONDS = [(6, 6, 1), (6, 6, 1.5), (6, 6, 2), (6, 6, 3), (6, 7, 1), (6, 7, 1.5), (6, 7, 3), (6, 8, 1), (6, 8, 1.5)]
OTHER_BONDS = [
    (5, 6, 1),
    (5, 7, 1.5),
    (6, 8, 2),
    (6, 9, 1),
    (6, 16, 1),
    (6, 16, 1.5),
    (8, 16, 2),
    (7, 7, 1.5),
    (9, 9, 2),
]
RICH = Vocabulary.faithful([*CARBON_BONDS, *OTHER_BONDS])
Found = tuple[int, int, int, int]  # bond class, begin, end, atomic number at the end


def talkative(seed: int, vocabulary: Vocabulary = RICH, peak: float = 20, **fields: object) -> GraphsGPT:
    """Few codes of few numbers, so that similarities above 1/2 are common; common elements come first."""
    model = small(vocabulary, **({"max_atoms": 6, "code_size": 6, "seed": seed} | fields))
    with torch.no_grad():
        model.heads.bond.weight.mul_(peak)
        common = [5, 7, 4, 8]  # C, O, B, F
        keep = model.heads.first_atom.weight[common] * 100
        model.heads.first_atom.weight.zero_()
        model.heads.first_atom.weight[common] = keep
    return model


class Failure(Exception):  # noqa: N818 - of a molecule, not of the program
    """No class will do any more."""


@dataclass
class Slow:
    """A molecule and the rules; atoms are atomic numbers, edges (class, begin, end)."""

    vocabulary: Vocabulary
    config: DecodingConfig
    cap: int
    atoms: list[int]
    edges: list[tuple[int, int, int]] = field(default_factory=list)
    ways: Counter[str] = field(default_factory=Counter)

    def next(self, bond: Tensor, begin: Tensor, end: Tensor, kind: int) -> Found | None:
        """The next edge, None if the molecule fails; `kind` is the class chosen."""
        order = [kind, *(c for c in bond.argsort(descending=True).tolist() if c != kind)]
        for place, c in enumerate(order[:1] if self.config.rules == "strict" else order):
            if c == 0 and self.edges:
                self.ways["stop as next best"] += place > 0
                return 0, 0, 0, 0
            try:
                found = self.attempt(c, begin, end) if c else None
            except Failure:
                self.ways["stuck"] += 1
                return None
            if found:
                self.ways["next class"] += place > 0
                return found
        return None

    def attempt(self, c: int, begin: Tensor, end: Tensor) -> Found | None:
        """The edge of a class, None where it cannot be. Raises `Failure`."""
        low, high, order = self.vocabulary.edges[c - 1]
        count = len(self.atoms)
        if not self.edges:
            return self.first(c, low, high)
        i, limit = self.free(begin[:count].argsort(descending=True).tolist(), "begin")
        if self.exceeds(i, limit, order):
            return None
        nearest = end[:count].argsort(descending=True).tolist()
        j, above = nearest[0], bool(end[nearest[0]] > 0.5)
        if above:
            j, limit = self.free(nearest, "end")
            if self.exceeds(j, limit, order):
                return None
            above = bool(end[j] > 0.5)
        bonded = {frozenset(pair) for _, *pair in self.edges}
        if above and i != j and frozenset((i, j)) not in bonded:
            matching = sorted((self.atoms[i], self.atoms[j])) == [low, high]
            return (c, i, j, self.atoms[j]) if matching else None
        self.ways["new end"] += above
        if above and self.config.rules == "strict":
            return None
        if count >= self.cap:
            raise Failure
        if self.atoms[i] not in (low, high):
            return None
        return c, i, count, high if self.atoms[i] == low else low

    def first(self, c: int, low: int, high: int) -> Found | None:
        """The first bond, whose valences nobody checks."""
        if self.cap < 2:
            raise Failure
        if self.atoms[0] not in (low, high):
            return None
        return c, 0, 1, high if self.atoms[0] == low else low

    def free(self, nearest: list[int], what: str) -> tuple[int, float]:
        """The first of the atoms that has not the valence of the first in use, and that. Raises `Failure`."""
        limit = float(TABLE.get(self.atoms[nearest[0]], math.inf)) if self.config.valence_check else math.inf
        for place, a in enumerate(nearest[: 1 if self.config.rules == "strict" else 11]):
            used, slack = self.valence(a)
            if used < limit + slack:
                self.ways[f"next {what}"] += place > 0
                return a, limit
        raise Failure

    def full(self, a: int, order: float) -> bool:
        """Whether an atom cannot take a bond by its own valence."""
        try:
            _, limit = self.free([a], "alone")
        except Failure:
            return True
        return self.exceeds(a, limit, order)

    def exceeds(self, a: int, limit: float, order: float) -> bool:
        used, slack = self.valence(a)
        return used + order > limit + slack + (0.5 if order == 1.5 else 0.0)

    def valence(self, a: int) -> tuple[float, float]:
        """The sum of the bond orders at an atom, and the half that an odd number of aromatic ones is forgiven."""
        orders = [self.order(c) for c, *pair in self.edges if a in pair]
        return sum(orders), 0.5 if orders.count(1.5) % 2 else 0.0

    def order(self, c: int) -> float:
        return self.vocabulary.edges[c - 1].order

    def add(self, found: Found) -> None:
        c, i, j, other = found
        self.edges.append((c, i, j))
        self.atoms += [other] if j == len(self.atoms) else []

    def tokens(self) -> MoleculeTokens:
        """An atom's token is 1 + its atomic number."""
        table, count = [(1 + self.atoms[0], 0, 0, 1)], 1
        for c, begin, end in self.edges:
            table.append((self.vocabulary.first_edge + c - 1, begin, end, 0))
            if end == count:
                table.append((1 + self.atoms[end], end, end, 1))
                count += 1
        return np.array(table, dtype=np.int16).T


def slow_decode(model: GraphsGPT, words: Tensor, config: DecodingConfig) -> tuple[MoleculeTokens, str, Counter[str]]:
    """Greedy decoding of one row of words (1, K, D)."""
    codes = model.decoder.embed.positions.codes
    state = model.decoder(collate([np.zeros((4, 0), dtype=np.int16)]), words)[0, 0]
    vocabulary = Vocabulary.from_dict(model.config.vocabulary)
    molecule = Slow(vocabulary, config, model.config.max_atoms, [1 + int(model.heads.first_atom(state).argmax())])
    while len(molecule.edges) < config.max_edges:
        bond, begin, end, _ = model.heads(state.unsqueeze(0), codes)
        found = molecule.next(bond[0], begin[0], end[0], int(bond.argmax()))
        if found is None:
            return molecule.tokens(), "invalid", molecule.ways
        if found[0] == 0:
            return molecule.tokens(), "complete", molecule.ways
        molecule.add(found)
        tokens = molecule.tokens()
        state = model.decoder(collate([tokens]), words)[0, 1 + int((tokens[3] == 0).nonzero()[0].max())]
    return molecule.tokens(), "truncated", molecule.ways
