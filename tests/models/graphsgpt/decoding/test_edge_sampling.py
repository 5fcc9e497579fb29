"""Sampling of edges: what is most likely, what is drawn, and with which log-probability."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sparsebench.models.graphsgpt.decoding.edge_sampling import (
    EdgeLogits,
    EdgeSampler,
    IndependentEdges,
    at,
    begin_logits,
    end_logits,
    joint,
    unravel,
)
from sparsebench.models.graphsgpt.decoding.valence import Edge, EdgeNumbers, Molecules

from ..model_cases import ATOMS, VOCABULARY


def sampler(temperature: float, top_k: int | None = None, seed: int = 0) -> EdgeSampler:
    return EdgeSampler(temperature=temperature, top_k=top_k, generator=torch.Generator().manual_seed(seed))


def test_greedy_takes_the_most_likely() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, -torch.inf, 5.0]])
    choice, log_prob = sampler(0.0).sample(logits)
    assert choice.tolist() == [1, 0]
    torch.testing.assert_close(log_prob, logits.log_softmax(-1)[[0, 1], [1, 0]])


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 2), (1.0, 9)])
def test_draws_follow_the_tempered_distribution(temperature: float, top_k: int | None) -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    choice, log_prob = sampler(temperature, top_k).sample(logits.expand(20_000, -1))
    likely = logits if top_k != 2 else torch.tensor([-torch.inf, 1.0, 2.0, -torch.inf])
    frequency = torch.bincount(choice, minlength=4) / 20_000
    assert (frequency - (likely / temperature).softmax(-1)).abs().max() < 0.015
    torch.testing.assert_close(log_prob, logits.log_softmax(-1)[choice])  # at temperature 1, of all classes


@torch.no_grad()
def test_a_generator_of_the_cpu_draws_for_a_model_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `seed=` makes it. A device itself refuses to draw with it, which tensors without numbers do not."""
    drawn_on: list[torch.device] = []
    multinomial = torch.multinomial

    def noted(chances: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        drawn_on.append(chances.device)
        return multinomial(chances, count, generator=generator)

    monkeypatch.setattr(torch, "multinomial", noted)
    with FakeTensorMode():
        choice, log_prob = sampler(1.0).sample(torch.zeros(2, 3, device="meta"))
    assert drawn_on == [torch.device("cpu")]
    assert choice.device.type == log_prob.device.type == "meta"


def test_ends_beyond_the_present_atoms_are_out_of_reach() -> None:
    cosines = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    present = torch.tensor([2, 4])
    begin, end = begin_logits(cosines, present, 4, 8.0), end_logits(cosines, present, 4, 8.0)
    assert begin.isneginf().tolist() == [[False, False, True, True], [False] * 4]
    assert end.isneginf().tolist() == [[False, False, False, True, True], [False] * 4 + [True]]  # the codes are used up
    torch.testing.assert_close(begin[1], 8 * cosines[1])


def test_parts_that_mean_nothing_do_not_count() -> None:
    edge = Edge(*(torch.tensor(part) for part in ([0, 1, 2], [0, 0, 0], [1, 2, 3], [4, 4, 4])))
    parts = (torch.tensor([-1.0, -2.0, -3.0]), torch.full((3,), -10.0), torch.full((3,), -100.0))
    assert joint(edge, torch.tensor([1, 3, 3]), *parts).tolist() == [-1.0, -12.0, -113.0]  # a stop, a ring, a new atom


def test_flat_indices() -> None:
    shape = torch.Size([3, 4, 5])
    parts = unravel(torch.arange(60), shape)
    expected = torch.cartesian_prod(*(torch.arange(size) for size in shape)).T
    assert all(torch.equal(part, wanted) for part, wanted in zip(parts, expected, strict=True))


def test_a_given_edge_has_the_log_probability_of_its_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    molecules = Molecules(VOCABULARY, torch.zeros(2, dtype=torch.long), 4)
    sizes = {"bond": 5, "begin": 1, "end": 2, "atom": len(ATOMS)}
    logits = EdgeLogits(**{name: torch.randn(2, size, generator=generator) for name, size in sizes.items()})
    edges = IndependentEdges(logits=logits, sampler=sampler(0.0), molecules=molecules)
    edge, log_prob = edges.given(EdgeNumbers(1, 0, 1, 3))
    assert [part.tolist() for part in edge] == [[1, 1], [0, 0], [1, 1], [3, 3]]
    expected = sum(part.log_softmax(-1)[:, number] for part, number in zip(logits, (1, 0, 1, 3), strict=True))
    torch.testing.assert_close(log_prob, expected)
    best, best_log_prob = edges.propose()
    of_first = edges.given(EdgeNumbers(*(int(part[0]) for part in best)))[1]
    torch.testing.assert_close(best_log_prob[0], of_first[0])
    assert at(logits.bond, best.bond).tolist() == logits.bond.amax(-1).tolist()


def test_where_no_edge_is_legal_the_repair_is_a_stop() -> None:
    full = Molecules(VOCABULARY, torch.full((1,), ATOMS.index((17, -1))), 1)  # a chloride ion, and no place for more
    logits = EdgeLogits(torch.randn(1, 5), torch.zeros(1, 1), torch.zeros(1, 2), torch.randn(1, len(ATOMS)))
    for temperature in (0.0, 1.0):
        edge, log_prob = sampler(temperature).repair(logits, full, torch.tensor([0]))
        assert edge.bond.tolist() == [0]
        torch.testing.assert_close(log_prob, logits.bond.log_softmax(-1)[:, 0])


def test_repairs_are_drawn_from_the_legal_edges() -> None:
    """Frequencies of a repair against the joint distribution over all legal edges."""
    generator = torch.Generator().manual_seed(0)
    molecules = Molecules(VOCABULARY, torch.zeros(1, dtype=torch.long), 4)
    molecules.add(Edge(*(torch.tensor([v]) for v in (3, 0, 1, 0))), torch.tensor([True]))
    sizes = {"bond": 5, "begin": 2, "end": 3, "atom": len(ATOMS)}
    logits = EdgeLogits(**{name: torch.randn(1, size, generator=generator) for name, size in sizes.items()})
    sampler = EdgeSampler(temperature=0.7, top_k=None, generator=generator)
    rows = torch.zeros(20_000, dtype=torch.long)
    (bond, begin, end, atom), _ = sampler.repair(logits, molecules, rows)
    legal = molecules.mask(rows[:1], 2)[0].unsqueeze(-1) & molecules.allowed_new_atoms()[:, None, None]
    parts = (logits.bond[0, :, None, None, None], logits.begin[0, None, :, None, None])
    joint = (sum(parts) + logits.end[0, None, None, :, None] + logits.atom[0]) / 0.7
    expected = joint.masked_fill(~legal, -torch.inf).flatten().softmax(-1)
    index = ((bond * 2 + begin) * 3 + end) * len(ATOMS) + atom
    frequency = torch.bincount(index, minlength=len(expected)) / len(rows)
    assert (expected > 0.01).sum() > 5
    assert (frequency - expected).abs().max() < 0.012
    assert frequency[expected == 0].sum() == 0
