"""The compact form against the masked one: the same weights, and exactly the bytes of the formula."""

import io

import pytest
import torch
from torch import Tensor

from sparsebench.models.counting import stored_bytes
from sparsebench.models.dynamic.compact_weights import CompactWeights
from sparsebench.models.dynamic.mode_partition import ModePartition

SHAPES = [(6, 5), (6, 5, 3, 3), (7, 1, 3, 2)]
KERNELS = 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mask_of(shape: tuple[int, ...], unit: str) -> Tensor:
    if unit == "weight":
        return torch.rand(shape, generator=generator()) < 0.3
    dim = {"row": 0, "channel": 1}.get(unit, 0)
    along = [1] * len(shape)
    along[dim] = shape[dim]
    chosen = torch.rand(shape[dim], generator=generator(1)) < 0.5
    if unit in ("dynamic", "static"):
        chosen = torch.full((shape[0],), unit == "dynamic")
    return chosen.view(along).expand(shape).contiguous()


def made(shape: tuple[int, ...], unit: str, scale: str = "both") -> tuple[Tensor, ModePartition]:
    bank = torch.randn((KERNELS, *shape), generator=generator(2), dtype=torch.float64)
    static = torch.randn(shape, generator=generator(3), dtype=torch.float64)
    partition = ModePartition(mask_of(shape, unit), static, scale)
    partition.phi.data.fill_(0.4)
    return bank, partition


@pytest.mark.parametrize("scale", ["both", "static", "dynamic", "none", "pruned"])
def test_weights_are_those_of_the_masked_form(scale, subtests: pytest.Subtests):
    """Invariant 10: compact() output == masked output."""
    for shape in SHAPES:
        for unit in ["weight", "row", "channel", "dynamic", "static"]:
            with subtests.test(shape=shape, unit=unit):
                bank, partition = made(shape, unit, scale)
                compact = CompactWeights.of(bank, partition)
                shares = torch.softmax(torch.randn(3, KERNELS, generator=generator(4), dtype=torch.float64), -1)
                mixed = (shares @ bank.flatten(1)).view(3, *shape)
                torch.testing.assert_close(compact.sample_weights(shares), partition.used_weight(mixed))
                torch.testing.assert_close(compact.used_bank(), partition.used_weight(bank))
                size = (3, *[1] * (len(shape) - 1), shape[-1])
                factors = torch.rand(size, generator=generator(5), dtype=torch.float64)
                torch.testing.assert_close(
                    compact.sample_weights(shares, factors), partition.used_weight(mixed * factors)
                )


@pytest.mark.parametrize("unit", ["weight", "row", "channel", "dynamic", "static"])
@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_those_of_the_formula(shape, unit):
    bank, partition = made(shape, unit)
    compact = CompactWeights.of(bank.float(), partition.float())
    entries = partition.mask.numel()
    dynamic = int(partition.mask.sum())
    numbers = entries - dynamic + KERNELS * dynamic
    units = {"weight": entries, "channel": shape[1]}.get(compact.unit, shape[0])
    assert compact.stored_numbers() == sum(parameter.numel() for parameter in compact.parameters()) == numbers
    assert stored_bytes(compact) == 4 * numbers + -(-units // 8)
    assert compact.masked_out() + compact.stored_numbers() == KERNELS * entries
    assert compact.mask_bytes() == -(-units // 8)


def test_without_a_partition_all_is_dynamic_and_nothing_static_is_stored():
    bank, _ = made((6, 5), "weight")
    compact = CompactWeights.of(bank, None)
    assert torch.equal(compact.used_bank(), bank) and compact.stored_numbers() == bank.numel()


@pytest.mark.parametrize("unit", ["weight", "row", "channel"])
def test_state_comes_back_through_a_file_bit_by_bit(unit):
    bank, partition = made((6, 5), unit)
    compact = CompactWeights.of(bank, partition)
    file = io.BytesIO()
    torch.save(compact.state_dict(), file)
    file.seek(0)
    dynamic = int(compact.mask.sum())
    other_mask = torch.zeros_like(compact.mask).flatten()
    other_mask[:dynamic] = True
    fresh = CompactWeights((6, 5), KERNELS, compact.unit, other_mask.view_as(compact.mask), dtype=torch.float64)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fresh.used_bank(), compact.used_bank())


def test_a_state_that_does_not_fit_is_refused():
    bank, partition = made((6, 5), "weight")
    compact = CompactWeights.of(bank, partition)
    state = compact.state_dict()
    larger = CompactWeights.of(*made((6, 5, 3, 3), "weight"))
    with pytest.raises(RuntimeError, match="bits has 4 bytes"):
        larger.load_state_dict(state)
    with pytest.raises(RuntimeError, match="bits"):
        compact.load_state_dict({name: value for name, value in state.items() if name != "bits"})


def test_gradients_reach_both_parts():
    for unit in ("weight", "row", "channel"):
        compact = CompactWeights.of(*made((6, 5), unit))
        weight = torch.randn(6, 5, generator=generator(7), dtype=torch.float64)
        (compact.sample_weights(torch.full((1, KERNELS), 0.25, dtype=torch.float64)) * weight).sum().backward()
        assert compact.static.grad.abs().min() > 0 and compact.dynamic.grad.abs().min() > 0
