"""The deployed form of an attention: the bytes of the formula, gradients, its state."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.models.dynamic.convolution.compact_vector import CompactVector
from sparsebench.models.dynamic.mode_partition import ModePartition

HIDDEN, CHANNELS = 4, 11
TEMPERATURE = torch.tensor(3.0)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(dynamic: int, scale: str = "both") -> tuple[nn.Linear, ModePartition]:
    layer = nn.Linear(HIDDEN, CHANNELS)
    layer.weight.data.copy_(drawn(CHANNELS, HIDDEN))
    layer.bias.data.copy_(drawn(CHANNELS, seed=1))
    mask = torch.zeros(CHANNELS, dtype=torch.bool)
    mask[torch.randperm(CHANNELS, generator=torch.Generator().manual_seed(2))[:dynamic]] = True
    partition = ModePartition(mask, drawn(CHANNELS, seed=3), scale)  # type: ignore[arg-type]
    partition.phi.data.fill_(0.4)
    return layer, partition


@pytest.mark.parametrize("scale", ["both", "static", "dynamic", "none", "pruned"])
@pytest.mark.parametrize("dynamic", [0, 5, CHANNELS])
def test_factors_are_those_of_the_masked_form(dynamic: int, scale: str) -> None:
    layer, partition = made(dynamic, scale)
    hidden = drawn(3, HIDDEN, seed=4)
    compact = CompactVector.of(layer, partition)
    expected = partition.used_weight(torch.sigmoid(layer(hidden) / TEMPERATURE))
    torch.testing.assert_close(compact(hidden, TEMPERATURE), expected)


@pytest.mark.parametrize("dynamic", [0, 5, CHANNELS])
def test_bytes_are_those_of_the_formula(dynamic: int) -> None:
    compact = CompactVector.of(*made(dynamic))
    numbers = dynamic * (HIDDEN + 1) + CHANNELS - dynamic + 1
    assert compact.stored_numbers() == count_parameters(compact).nonzero == numbers
    assert stored_bytes(compact) == 4 * numbers + 2, "a bit for each of 11 channels"
    assert count_parameters(compact).total == CHANNELS * (HIDDEN + 1)


def test_gradients_reach_all_parts() -> None:
    compact = CompactVector.of(*made(5))
    (compact(drawn(3, HIDDEN, seed=4), TEMPERATURE) * drawn(3, CHANNELS, seed=5)).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in compact.parameters() if parameter.grad is not None)
    assert all(parameter.grad is not None for parameter in compact.parameters())


def test_state_comes_back_bit_by_bit_with_its_mask() -> None:
    layer, partition = made(5)
    compact = CompactVector.of(layer, partition)
    other = torch.arange(CHANNELS) < 5
    assert not torch.equal(other, partition.mask)
    fresh = CompactVector(HIDDEN, other, dtype=torch.float32)
    fresh.load_state_dict(compact.state_dict())
    hidden = drawn(3, HIDDEN, seed=4)
    assert torch.equal(fresh(hidden, TEMPERATURE), compact(hidden, TEMPERATURE))
