"""A bottleneck's training step: dense, half of its weights pruned one by one, half of its units taken out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters.kinds.bottleneck import Bottleneck, BottleneckConfig

from .groups import Timed, Variant, of_model

RANK = 64
ROLES = {"half the units": "ours", "half the weights": "ours", "dense": "reference"}


def make(name: str, width: int) -> Bottleneck:
    generator = torch.Generator().manual_seed(0)
    adapter = Bottleneck(width, BottleneckConfig(r=RANK, init="normal"), generator)
    if name == "half the weights":
        for layer in (adapter.down, adapter.up):
            layer.prune(torch.rand(layer.shape, generator=generator) < 0.5)
    elif name == "half the units":
        keep = torch.arange(0, RANK, 2)
        adapter.down.select(0, keep)
        adapter.up.select(1, keep)
    return adapter


def reference(adapter: Bottleneck, x: Tensor) -> Tensor:
    """up(gelu(down(x))) in float64."""
    down, up = adapter.down, adapter.up
    hidden = nn.functional.gelu(x.double() @ down.effective(torch.float64).T + down.bias.double())
    return hidden @ up.effective(torch.float64).T + up.bias.double()


@pytest.mark.parametrize("rows", [197, 1576])
@pytest.mark.parametrize("width", [384, 768])
@pytest.mark.parametrize("name", ROLES)
def test_pruned_bottleneck_step(name: str, width: int, rows: int, compare: Callable[..., Timed]) -> None:
    """Forward and backward; the input needs a gradient, as in the middle of a network."""
    group = f"bottleneck forward and backward, width {width}, {rows} rows"
    compare(name, ROLES, lambda name: step(name, width, rows), group=group)


def step(name: str, width: int, rows: int) -> Variant:
    adapter = make(name, width)
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    upstream = torch.randn(rows, width, generator=torch.Generator().manual_seed(1))
    trained = [x, *adapter.parameters()]
    error = (adapter(x).double() - reference(adapter, x)).norm() / reference(adapter, x).norm()
    assert error.item() < 1e-5
    shape = {"width": width, "rank": RANK}
    return of_model(lambda: torch.autograd.grad(adapter(x), trained, upstream), ROLES[name], adapter, x, shape=shape)
