"""The simulated device, without autograd: that needs a build of torch for CUDA (`make device-audit`)."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from sparsebench.models.moe.experts.grouped_product import fits_grouped_mm, grouped_product, product_of_groups

from .pretence import simulated_device
from .simulated import SimulatedDevice, value

PLACE = {"device": "cuda:0"}


@pytest.fixture(scope="module")
def device() -> Iterator[SimulatedDevice]:
    with torch.no_grad(), simulated_device() as entered:
        yield entered


def test_values_are_those_of_the_cpu(device: SimulatedDevice) -> None:
    rows = torch.arange(6.0).view(2, 3)
    there = rows.to(**PLACE)
    assert there.is_cuda
    assert F.relu(there @ there.T - 10).device == there.device
    torch.testing.assert_close(value(F.relu(there @ there.T - 10)), F.relu(rows @ rows.T - 10))
    there.select(0, 0).add_(1)  # a view: its base changes
    assert there.cpu().tolist() == [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]


def test_what_is_on_two_devices_is_refused(device: SimulatedDevice) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(3, **PLACE) + torch.ones(3)
    torch.ones(3, **PLACE) + torch.tensor(1.0)  # a number may come from anywhere


def test_a_type_that_a_rule_refuses(device: SimulatedDevice) -> None:
    rows = torch.ones(4, 8, **PLACE)
    ends = torch.tensor([4], dtype=torch.int32, **PLACE)
    with pytest.raises(RuntimeError, match="BF16"):
        F.grouped_mm(rows, torch.ones(1, 8, 8, **PLACE), offs=ends)


def test_where_the_host_waits(device: SimulatedDevice) -> None:
    before = device.places.found.copy()
    numbers = torch.tensor([3, 0, 2], **PLACE)
    assert numbers.sum().item() == 5
    assert torch.equal(numbers, numbers.clone())
    assert numbers.tolist() == [3, 0, 2]
    assert numbers.masked_select(numbers > 0).cpu().tolist() == [3, 2]
    waited = {place.what for place in device.places.found - before}
    assert waited == {"item", "equal", "tolist", "masked_select", "copy to the host"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products_of_groups_run_there_and_no_host_waits(device: SimulatedDevice, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(9, 8, generator=generator, dtype=dtype)
    matrices = torch.randn(3, 8, 16, generator=generator, dtype=dtype)
    ends = torch.tensor([4, 4, 9], dtype=torch.int32)
    assert fits_grouped_mm(rows.to(**PLACE), matrices.to(**PLACE)) == (dtype is torch.bfloat16)
    before = device.places.found.copy()
    out = product_of_groups(rows.to(**PLACE), matrices.to(**PLACE), ends.to(**PLACE))
    assert device.places.found == before
    # Each number is a sum of 8 products, rounded once; both are bounded by the sum of magnitudes.
    bound = 9 * torch.finfo(dtype).eps * grouped_product(rows.double().abs(), matrices.double().abs(), ends)
    assert ((value(out).double() - grouped_product(rows.double(), matrices.double(), ends)).abs() <= bound).all()


def test_autocast_narrows_products_of_groups(device: SimulatedDevice) -> None:
    rows, matrices = torch.ones(2, 8, **PLACE), torch.ones(1, 8, 16, **PLACE)
    with torch.autocast("cuda", torch.bfloat16):
        out = product_of_groups(rows, matrices, torch.tensor([2], dtype=torch.int32, **PLACE))
    assert out.dtype is torch.bfloat16


def test_batch_norm_in_evaluation(device: SimulatedDevice) -> None:
    """A CPU keeps no statistics for the way back; a device gives some that nobody reads."""
    rows = torch.arange(12.0).view(4, 3)
    mean, variance = torch.zeros(3), torch.ones(3)
    there = F.batch_norm(rows.to(**PLACE), mean.to(**PLACE), variance.to(**PLACE))
    torch.testing.assert_close(value(there), F.batch_norm(rows, mean, variance))


def test_what_no_cpu_has_is_computed_by_its_formula(device: SimulatedDevice) -> None:
    rows = torch.arange(12.0).view(4, 3) / 7
    weight = torch.tensor([0.5, 1.0, 2.0])
    with torch.enable_grad():
        leaf = rows.clone().requires_grad_()
        (expected,) = torch.autograd.grad(F.rms_norm(leaf, (3,), weight, 1e-6).sum(), leaf)
    scale = (rows.square().mean(1, keepdim=True) + 1e-6).rsqrt()
    found, _ = torch.ops.aten._fused_rms_norm_backward(
        torch.ones(4, 3, **PLACE), rows.to(**PLACE), [3], scale.to(**PLACE), weight.to(**PLACE), [True, False]
    )
    torch.testing.assert_close(value(found), expected)
