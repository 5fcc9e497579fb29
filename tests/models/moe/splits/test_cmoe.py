import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparsebench.models.calibration.hooks import FFNSample
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.routing.start import Neurons
from sparsebench.models.moe.splits import SplitInput, partition
from sparsebench.models.moe.splits.clustering import balanced_kmeans
from sparsebench.models.moe.splits.cmoe import activity, representatives

Input = Callable[..., SplitInput]


def with_activity(inp: SplitInput, h: Tensor) -> SplitInput:
    """A layer without gate whose neurons have the activations `h` (T, F) on T inputs at right angles."""
    neurons = Neurons(gate=None, up=h.T, gate_bias=None, up_bias=None, activation=lambda up: up)
    return dataclasses.replace(inp, neurons=neurons, sample=FFNSample(torch.eye(len(h), dtype=h.dtype), h))


def planted(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """60 tokens, 50 neurons in 5 hidden groups; the neurons of one group are strong on a token. And the groups."""
    group = torch.randperm(50, generator=generator) % 5
    topic = torch.arange(60) % 5
    h = 0.1 * torch.randn(60, 50, generator=generator, dtype=torch.float64)
    return h + (topic.unsqueeze(1) == group) * (1 + torch.rand(60, 50, generator=generator, dtype=torch.float64)), group


@pytest.mark.parametrize("split", ["coact", "cmoe"])
@pytest.mark.parametrize("seed", range(3))
def test_neurons_of_a_topic_come_together(split: str, seed: int, ffn_input: Input) -> None:
    h, group = planted(torch.Generator().manual_seed(seed))
    parts = partition(with_activity(ffn_input(MoEConfig(split=split, num_experts=5, seed=seed)), h))
    assert all(len(set(group[expert].tolist())) == 1 for expert in parts.experts)


def released_mask(inp: SplitInput) -> Tensor:
    """The ten neurons of greatest cosine products on each token, one token at a time."""
    x, neurons = inp.need_sample().x, inp.neurons
    assert neurons.gate is not None
    mask = torch.zeros(inp.hidden, len(x))
    for token, row in enumerate(x):
        gate = torch.cosine_similarity(row, neurons.gate, dim=1)
        up = torch.cosine_similarity(row, neurons.up, dim=1)
        mask[(torch.nn.functional.silu(gate) * up).abs().topk(10).indices, token] = 1
    return mask


def test_neurons_of_long_rows_are_not_active_more_often(ffn_input: Input) -> None:
    inp = ffn_input(MoEConfig(split="cmoe"))
    assert inp.neurons.gate is not None
    length = torch.rand(inp.hidden, 1, dtype=torch.float64) + 0.1
    longer = dataclasses.replace(inp.neurons, gate=length * inp.neurons.gate, up=inp.neurons.up / length)
    assert activity(inp).equal(released_mask(inp))
    assert activity(dataclasses.replace(inp, neurons=longer)).equal(activity(inp))


def test_cmoe_shares_the_most_active(ffn_input: Input) -> None:
    inp = ffn_input(MoEConfig(split="cmoe", num_shared=2))
    active = released_mask(inp)
    rate = active.mean(1)
    ranked = sorted(range(50), key=lambda i: -rate[i].item())
    parts = partition(inp)
    assert parts.shared.tolist() == sorted(ranked[:14])
    rest = torch.tensor(ranked[14:])
    start = torch.arange(6)  # the six that are active most often
    expected = balanced_kmeans(active[rest], 6, torch.Generator().manual_seed(0), start=start)
    assert [e.tolist() for e in parts.experts] == [sorted(rest[group].tolist()) for group in expected.groups]
    assert parts.representatives is not None
    assert all(neuron in expert for neuron, expert in zip(parts.representatives, parts.experts, strict=True))


def test_representative_is_nearest_to_the_mean() -> None:
    active = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 1]])
    found = representatives(active, (torch.tensor([0, 1, 2]), torch.tensor([3, 4])))
    assert found.tolist() == [0, 3]
