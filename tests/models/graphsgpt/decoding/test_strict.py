"""The published strict rules of decoding against a slow loop over one molecule, without a cache."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.strict import StrictMolecules
from sparsebench.models.graphsgpt.decoding.valence import Edge
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..model_cases import edge
from ..published_rules import RICH, TABLE, Slow, slow_decode, talkative

SIMPLE = Vocabulary.faithful([(6, 6, 1), (6, 6, 1.5), (6, 8, 1), (6, 8, 2)])
CARBON_ONLY = Vocabulary.faithful([(6, 6, 1), (6, 6, 1.5)])
CARBON, OXYGEN = 5, 7  # classes: elements from 1 on


def words_of(seed: int, rows: int = 12) -> Tensor:
    return 2 * torch.randn(rows, 3, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("valence_check", [False, True])
@torch.no_grad()
def test_strict_decoding_is_that_of_a_slow_loop(valence_check: bool) -> None:
    config = DecodingConfig(constrained=False, max_edges=12, valence_check=valence_check)
    seen: Counter[str] = Counter()
    cases = [(seed, SIMPLE) for seed in range(9)] + [(seed, RICH) for seed in range(9, 12)]
    cases += [(seed, CARBON_ONLY) for seed in (0, 4)]  # which closes rings
    for seed, vocabulary in cases:
        model = talkative(seed, vocabulary)
        words = words_of(seed, rows=40)
        for row, molecule in enumerate(decode(model, words, config=config)):
            tokens, status, _ = slow_decode(model, words[row : row + 1], config)
            assert molecule.status == status and np.array_equal(molecule.tokens, tokens), (seed, row)
            atoms, edges = int(tokens[3].sum()), int((tokens[3] == 0).sum())
            seen += Counter({status: 1, "closed": int(edges > atoms - 1), "long": int(edges > 3)})
    assert seen["complete"] > 3 and seen["invalid"] > 20 and seen["long"] > 0 and seen["closed"] > 0, seen


def bond(low: int, high: int, order: float) -> int:
    return 1 + RICH.edges.index((low, high, order))


@pytest.mark.parametrize(
    ("first", "edges", "next_bond", "fits"),
    [
        ("N", [(6, 7, 1.5), (6, 7, 1.5)], (6, 7, 1), False),  # a methylated pyrrole: 1.5 + 1.5 is all of 3
        ("N", [(6, 7, 1), (6, 7, 1.5)], (6, 7, 1.5), True),  # the same in another order: a half for each aromatic bond
        ("N", [(6, 7, 1), (6, 7, 1)], (6, 7, 1.5), True),
        ("N", [(6, 7, 1), (6, 7, 1), (6, 7, 1)], (6, 7, 1.5), False),
        ("O", [(6, 8, 1.5)], (6, 8, 1.5), True),  # a furan
        ("O", [(6, 8, 1.5), (6, 8, 1.5)], (6, 8, 1), False),
        ("C", [(6, 6, 1.5), (6, 6, 1.5), (6, 6, 1.5)], (6, 6, 1), False),  # the half of three is forgiven, no more
        ("C", [(6, 6, 1.5), (6, 6, 1.5)], (6, 8, 2), False),  # the carbonyl of a pyridone
        ("B", [(5, 6, 1), (5, 7, 1.5)], (5, 7, 1.5), True),
        ("B", [(5, 7, 1.5)], (5, 7, 1.5), True),
        ("B", [(5, 7, 1.5), (5, 7, 1.5)], (5, 6, 1), False),
        ("F", [(6, 9, 1)], (6, 9, 1), False),
        ("F", [], (9, 9, 2), True),  # a first bond is not checked
        ("S", [(8, 16, 2), (8, 16, 2), (6, 16, 1), (6, 16, 1)], (6, 16, 1), False),
    ],
)
def test_the_published_valences(first: str, edges: list[tuple], next_bond: tuple, fits: bool) -> None:
    """A star of bonds around the first atom, whose ends are new and never looked at."""
    number = {"B": 5, "C": 6, "N": 7, "O": 8, "F": 9, "S": 16}[first]
    checked, free = (StrictMolecules(RICH, torch.tensor([number - 1]), 9, valence_check=on) for on in (True, False))

    def star(kind: tuple, end: int) -> Edge:
        other = kind[1] if kind[0] == number else kind[0]
        return edge(bond(*kind), 0, end, other - 1)

    for place, kind in enumerate(edges):
        assert checked.is_valid_edge(star(kind, place + 1))
        for molecules in (checked, free):
            molecules.add(star(kind, place + 1), torch.tensor([True]))
    last = star(next_bond, len(edges) + 1)
    assert bool(checked.is_valid_edge(last)) == fits and free.is_valid_edge(last)


def test_elements_without_a_published_valence_have_none() -> None:
    vocabulary = Vocabulary.faithful([(8, 15, 2)])
    molecules = StrictMolecules(vocabulary, torch.tensor([14]), 9, valence_check=True)
    for end in range(1, 6):
        assert molecules.is_valid_edge(edge(1, 0, end, OXYGEN))
        molecules.add(edge(1, 0, end, OXYGEN), torch.tensor([True]))


@pytest.mark.parametrize("seed", range(3))
def test_valences_are_those_of_a_slow_sum(seed: int) -> None:
    """Bonds that fit the elements, drawn one after the other, beside sums over the bonds of an atom."""
    generator = np.random.default_rng(seed)
    config = DecodingConfig(constrained=False, valence_check=True)
    molecules = StrictMolecules(RICH, torch.tensor([CARBON]), 8, valence_check=True)
    slow = Slow(RICH, config, 8, [6])
    refused = 0
    for _ in range(400):
        kind, count = int(generator.integers(1, len(RICH.edges) + 1)), len(slow.atoms)
        i, j = int(generator.integers(count)), int(generator.integers(min(count + 1, 8)))
        low, high, order = RICH.edges[kind - 1]
        matching = slow.atoms[i] in (low, high)
        other = high if slow.atoms[i] == low else low
        known = any({i, j} == {a, b} for _, a, b in slow.edges)
        if not matching or i == j or known or (j < count and slow.atoms[j] != other):
            continue
        full = bool(slow.edges) and (slow.full(i, order) or (j < count and slow.full(j, order)))
        if not slow.edges and j != count:
            continue
        assert bool(molecules.is_valid_edge(edge(kind, i, j, other - 1))) == (not full)
        refused += full
        if not full:
            molecules.add(edge(kind, i, j, other - 1), torch.tensor([True]))
            slow.add((kind, i, j, other))
    assert refused > 3 and set(slow.atoms) <= set(TABLE)


@pytest.mark.parametrize("rules", ["strict", "flexible"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_failed_molecule_is_said_to_be_one(temperature: float, rules: str) -> None:
    config = DecodingConfig(constrained=False, temperature=temperature, rules=rules)
    generator = torch.Generator().manual_seed(0)
    words, found = words_of(0), []
    for seed in range(6):
        found += decode(talkative(seed), words, config=config, generator=generator)
    assert any(molecule.illegal for molecule in found)
    failed = [molecule for molecule in found if molecule.status == "invalid"]
    if rules == "strict":
        assert failed == [molecule for molecule in found if molecule.illegal > 0]
    else:  # without a check of valences only a new atom without a place fails, or a first atom without a bond
        assert failed and all(molecule.illegal > 0 for molecule in failed)
        assert {int(molecule.tokens[3].sum()) for molecule in failed} <= {1, 6}
