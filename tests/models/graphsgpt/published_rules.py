"""The published rules of decoding the slow way: one molecule, one attempt after the other, no cache."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens, collate
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

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
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_words": 3, "max_atoms": 6, "code_size": 6, "seed": seed}
    model = GraphsGPT(GraphsGPTConfig.of(vocabulary, **(sizes | fields))).eval()
    with torch.no_grad():
        model.heads.bond.weight.mul_(peak)
        common = [5, 7, 4, 8]  # C, O, B, F
        keep = model.heads.first_atom.weight[common] * 100
        model.heads.first_atom.weight.zero_()
        model.heads.first_atom.weight[common] = keep
    return model


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
        """The next edge, None if the molecule fails; `kind` is the class chosen, not a stop."""
        if self.config.rules == "strict":
            return self.attempt(kind, begin, end, strict=True)
        order = [kind, *(c for c in bond.argsort(descending=True).tolist() if c != kind)]
        for place, c in enumerate(order):
            if c == 0 and self.edges:
                self.ways["stop as next best"] += 1
                return 0, 0, 0, 0
            found = self.attempt(c, begin, end, strict=False) if c else None
            if found:
                self.ways["next class"] += place > 0
                return found
        return None

    def attempt(self, c: int, begin: Tensor, end: Tensor, strict: bool) -> Found | None:
        low, high, order = self.vocabulary.edges[c - 1]
        atoms, count = list(self.atoms), len(self.atoms)
        if not self.edges and atoms[0] not in (low, high):
            atoms[0] = low
        nearest = begin[:count].argsort(descending=True).tolist()
        i = nearest[0]
        if atoms[i] not in (low, high):
            return None
        if self.full(atoms, i, order):
            others = [a for a in nearest[1:11] if atoms[a] in (low, high) and not self.full(atoms, a, order)]
            if strict or not others:
                return None
            i = others[0]
            self.ways["next begin"] += 1
        other = high if atoms[i] == low else low
        j = self.end(atoms, i, end, other, order, strict)
        if j == count and (count >= self.cap or self.exceeds(other, [], order)):
            return None
        return None if j is None else (c, i, j, other)

    def end(self, atoms: list[int], i: int, end: Tensor, other: int, order: float, strict: bool) -> int | None:
        count = len(atoms)
        nearest = end[:count].argsort(descending=True).tolist()
        j = nearest[0]
        if end[j] <= 0.5:
            return count
        bonded = {frozenset(pair) for _, *pair in self.edges}
        good = [a for a in nearest[:11] if atoms[a] == other and a != i and frozenset((a, i)) not in bonded]
        roomy = [a for a in good if not self.full(atoms, a, order)]
        if j in good and roomy and (j in roomy or not strict):
            self.ways["next end"] += j not in roomy
            return roomy[0]
        self.ways["new end"] += not strict
        return None if strict else count

    def full(self, atoms: list[int], a: int, order: float) -> bool:
        return self.exceeds(atoms[a], [self.order(c) for c, *pair in self.edges if a in pair], order)

    def exceeds(self, element: int, orders: list[float], more: float) -> bool:
        if not self.config.valence_check or element not in TABLE:
            return False
        orders = [*orders, more]
        slack = 0.5 if orders.count(1.5) % 2 else 0.0
        return sum(orders) - slack > TABLE[element]

    def order(self, c: int) -> float:
        return self.vocabulary.edges[c - 1].order

    def add(self, found: Found) -> None:
        c, i, j, other = found
        low, high, _ = self.vocabulary.edges[c - 1]
        if not self.edges and self.atoms[0] not in (low, high):
            self.atoms[0] = low
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
        kind = int(bond.argmax())
        if kind == 0:
            return failing(molecule, kind), "complete" if molecule.edges else "invalid", molecule.ways
        found = molecule.next(bond[0], begin[0], end[0], kind)
        if found is None:
            return failing(molecule, kind), "invalid", molecule.ways
        if found[0] == 0:
            return molecule.tokens(), "complete", molecule.ways
        molecule.add(found)
        tokens = molecule.tokens()
        state = model.decoder(collate([tokens]), words)[0, 1 + int((tokens[3] == 0).nonzero()[0].max())]
    return molecule.tokens(), "truncated", molecule.ways


def failing(molecule: Slow, kind: int) -> MoleculeTokens:
    """The tokens; a first atom has the name that a failing first bond gave it."""
    if kind and not molecule.edges:
        low, high, _ = molecule.vocabulary.edges[kind - 1]
        molecule.atoms[0] = molecule.atoms[0] if molecule.atoms[0] in (low, high) else low
    return molecule.tokens()
