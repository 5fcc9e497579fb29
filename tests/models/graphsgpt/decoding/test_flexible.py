"""The published flexible rules of decoding, a batch at a time, against attempts one after the other."""

from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.edge_sampling import EdgeSampler
from sparsebench.models.graphsgpt.decoding.flexible import FlexibleMolecules
from sparsebench.models.graphsgpt.decoding.valence import Edge
from sparsebench.models.graphsgpt.model.heads import Predictions

from ..published_rules import RICH, Slow, slow_decode, talkative

GREEDY = EdgeSampler(temperature=0.0, top_k=None, generator=None)


def random_predictions(rows: int, cap: int, generator: torch.Generator) -> Predictions:
    """Cosines of random directions in three dimensions, so that many are alike; now and then a stop is likely."""
    codes = F.normalize(torch.randn(cap, 3, generator=generator), dim=1)

    def cosines() -> Tensor:
        return F.normalize(torch.randn(rows, 3, generator=generator), dim=1) @ codes.T

    bond = torch.randn(rows, 1 + len(RICH.edges), generator=generator)
    bond[:, 0] -= 1
    return Predictions(bond, cosines(), cosines(), None)


@pytest.mark.parametrize("valence_check", [False, True])
@pytest.mark.parametrize("cap", [1, 2, 7, 16])
def test_each_step_is_that_of_a_slow_search(cap: int, valence_check: bool) -> None:
    generator, rows = torch.Generator().manual_seed(cap), 60
    config = DecodingConfig(constrained=False, rules="flexible", valence_check=valence_check)
    first = torch.tensor([5, 7, 8, 4, 0])[torch.randint(5, (rows,), generator=generator)]
    molecules, active = FlexibleMolecules(RICH, first, cap, valence_check), torch.ones(rows, dtype=torch.bool)
    slow = [Slow(RICH, config, cap, [1 + int(atom)]) for atom in first]
    failed = 0
    for step in range(22):
        predicted = random_predictions(rows, cap, generator)
        predicted.bond[0, 0] += 99 * (step == 0)  # a stop that comes first
        edge, _ = molecules.propose(predicted, GREEDY)
        wrong = (active & ~molecules.is_valid_edge(edge)).nonzero()[:, 0]
        better, log_prob = molecules.repair(predicted, edge, GREEDY, wrong)
        torch.testing.assert_close(log_prob, predicted.bond.log_softmax(1)[wrong, better.bond])
        for part, new in zip(edge, better, strict=True):
            part[wrong] = new
        valid = molecules.is_valid_edge(edge)
        for row in active.nonzero()[:, 0].tolist():
            kind = int(predicted.bond[row].argmax())
            found = slow[row].next(*(part[row] for part in predicted[:3]), kind)
            assert bool(valid[row]) == (found is not None), row
            failed += found is None
            if found is not None and found[0]:
                ours = tuple(int(part[row]) for part in edge)
                assert (*ours[:3], 1 + ours[3]) == found, row
                slow[row].add(found)
            elif found is not None:
                assert edge.bond[row] == 0
        active &= valid & (edge.bond != 0)
        molecules.add(edge, active)
        for row in active.nonzero()[:, 0].tolist():
            assert [1 + atom for atom in molecules.atoms[row, : molecules.present[row]].tolist()] == slow[row].atoms
    check_ways(sum((molecule.ways for molecule in slow), Counter()), cap, valence_check)
    assert failed > 0


def check_ways(ways: Counter[str], cap: int, valence_check: bool) -> None:
    """That the search took each of its ways."""
    if cap >= 7:
        assert ways["next class"] > 20 and ways["stop as next best"] > 0 and ways["new end"] > 20, ways
        assert (ways["next begin"] > 5 and ways["next end"] > 0) == valence_check, ways


@pytest.mark.parametrize("valence_check", [False, True])
@torch.no_grad()
def test_flexible_decoding_is_that_of_a_slow_loop(valence_check: bool) -> None:
    config = DecodingConfig(constrained=False, max_edges=12, rules="flexible", valence_check=valence_check)
    seen: Counter[str] = Counter()
    for seed in range(5):
        model = talkative(seed)
        words = 2 * torch.randn(10, 3, 32, generator=torch.Generator().manual_seed(seed))
        for row, molecule in enumerate(decode(model, words, config=config)):
            tokens, status, ways = slow_decode(model, words[row : row + 1], config)
            assert molecule.status == status and np.array_equal(molecule.tokens, tokens), (seed, row)
            seen += ways + Counter({status: 1, "repaired": molecule.illegal})
    assert seen["complete"] > 5 and seen["invalid"] > 0 and seen["repaired"] > 20 and seen["new end"] > 5, seen


def test_a_first_bond_without_the_first_atom_gives_way_to_the_next() -> None:
    """F=F is likeliest, then C-F. The valences of a first bond are not checked; a hydrogen has no bond at all."""
    bond = torch.full((1, 1 + len(RICH.edges)), -9.0)
    kinds = {edge: 1 + place for place, edge in enumerate(RICH.edges)}
    bond[0, kinds[9, 9, 2]], bond[0, kinds[6, 9, 1]] = 5.0, 4.0
    predicted = Predictions(bond, torch.ones(1, 4), torch.ones(1, 4), None)
    for first, bond_taken in ((6, kinds[6, 9, 1]), (9, kinds[9, 9, 2])):
        molecules = FlexibleMolecules(RICH, torch.tensor([first - 1]), 4, valence_check=True)
        edge, _ = molecules.propose(predicted, GREEDY)
        taken, _ = molecules.repair(predicted, edge, GREEDY, torch.tensor([0]))
        assert (int(taken.bond), 1 + int(taken.atom)) == (bond_taken, 9)
        assert (int(taken.begin), int(taken.end)) == (0, 1)
        assert 1 + int(molecules.atoms[0, 0]) == first and molecules.is_valid_edge(taken)
    molecules = FlexibleMolecules(RICH, torch.tensor([0]), 4)
    edge, _ = molecules.propose(predicted, GREEDY)
    taken, _ = molecules.repair(predicted, edge, GREEDY, torch.tensor([0]))
    assert not molecules.is_valid_edge(taken)


def test_rows_can_be_dropped() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = random_predictions(8, 5, generator)
    one, other = (FlexibleMolecules(RICH, torch.full((8,), 5), 5, True) for _ in range(2))
    start = Edge(*(torch.full((8,), value) for value in (2, 0, 1, 5)))
    for molecules in (one, other):
        molecules.add(start, torch.arange(8) < 6)
    rows = torch.tensor([5, 1])
    other.keep(rows)
    part = Predictions(*(values[rows] for values in predicted[:3]), None)
    edge, _ = one.propose(predicted, GREEDY)
    few, _ = other.propose(part, GREEDY)
    ours, _ = one.repair(predicted, edge, GREEDY, rows)
    alone, _ = other.repair(part, few, GREEDY, torch.arange(2))
    assert all(torch.equal(a, b) for a, b in zip(ours, alone, strict=True))
