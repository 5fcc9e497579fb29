"""Decoding the slow way: one molecule in Python lists, every legal edge by itself."""

from collections.abc import Callable, Iterator
from itertools import combinations, product

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.valence import max_valence
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens, TokenBatch, collate

from .model_cases import ATOMS, VOCABULARY


class Grown:
    """One molecule, the slow way."""

    def __init__(self, atom: int, cap: int) -> None:
        self.valences = [max_valence(*node) for node in ATOMS]
        self.rows, self.free, self.joined, self.cap = [(2 + atom, 0, 0, 1)], [self.valences[atom]], set(), cap

    def options(self) -> Iterator[tuple[int, int, int, int]]:
        """Every legal (bond class, begin, end, atom)."""
        count = len(self.free)
        for begin, atom in product(range(count), range(len(ATOMS))):
            if count < self.cap:
                room = min(self.free[begin], self.valences[atom])
                yield from ((bond, begin, count, atom) for bond in (1, 2, 3) if bond <= room)
                yield from [(4, 0, count, atom)] if begin == 0 else []
        for begin, end in combinations(range(count), 2):
            room = 0 if (begin, end) in self.joined else min(self.free[begin], self.free[end])
            yield from ((bond, begin, end, 0) for bond in (1, 2, 3) if bond <= room)

    def add(self, bond: int, begin: int, end: int, atom: int) -> None:
        order = 0 if bond == 4 else bond
        self.rows.append((VOCABULARY.first_edge + bond - 1, begin, end, 0))
        if end == len(self.free):
            self.rows.append((2 + atom, end, end, 1))
            self.free.append(self.valences[atom])
        self.free[begin], self.free[end] = self.free[begin] - order, self.free[end] - order
        self.joined |= {(begin, end)} if order else set()


def batch_of(rows: list[tuple[int, int, int, int]]) -> TokenBatch:
    return collate([np.array(rows, dtype=np.int16).reshape(-1, 4).T])


@torch.no_grad()
def check_against(
    slow: Callable[[GraphsGPT, Tensor, int, int], MoleculeTokens], build: Callable[..., GraphsGPT]
) -> None:
    """Greedy decoding with models of several seeds gives the molecules of `slow(model, words, max_atoms, max_edges)`,
    of several lengths, many edges repaired."""
    sizes, illegal, config = set(), 0, DecodingConfig(max_atoms=9, max_edges=14)
    words = 2 * torch.randn(4, 3, 32, generator=torch.Generator().manual_seed(0))
    for seed in range(6):
        model = build(seed=seed)
        for row, molecule in enumerate(decode(model, words, config=config)):
            assert np.array_equal(molecule.tokens, slow(model, words[row : row + 1], 9, 14)), (seed, row)
            sizes.add(molecule.tokens.shape[1])
            illegal += molecule.illegal
    assert len(sizes) > 4 and illegal > 50
