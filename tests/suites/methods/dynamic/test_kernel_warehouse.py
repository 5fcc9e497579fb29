"""KernelWarehouse as a row: the bytes that it promises, cells that are released, what it refuses."""

import pytest
import torch

from sparsebench.models.counting import stored_bytes
from sparsebench.models.dynamic.conversion import make_dynamic
from sparsebench.models.dynamic.convolution.config import ConvConfig
from sparsebench.models.dynamic.convolution.warehouse import CellAttention
from sparsebench.models.dynamic.layer import DynamicLayer
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.methods.dynamic.kernel_warehouse import KernelWarehouse, Releasing
from sparsebench.suites.training.callbacks import TrainingState
from sparsebench.suites.vtab.backbones import tiny_cnn

from ..setups import images


def shares(model: torch.nn.Module) -> set[float]:
    return {module.fixed_share.item() for module in model.modules() if isinstance(module, CellAttention)}


def test_it_trains_and_ends_released() -> None:
    setup = images(tiny_cnn.load)
    method = KernelWarehouse()
    model = method.prepare(setup.model, setup.context)
    assert shares(model) == {1.0}
    method.fit(model, setup.data, setup.context)
    assert shares(model) == {0.0}


def test_the_cells_are_released_step_by_step() -> None:
    model = KernelWarehouse(train="none").prepare(images(tiny_cnn.load).model, images(tiny_cnn.load).context)
    callback = Releasing(0.5)
    state = TrainingState(models={"model": model}, optimizers={}, data=None, total=8)
    callback.on_start(state)
    seen = [shares(model)]
    for step in range(1, 6):
        state.step = step
        callback.on_step(state)
        seen.append(shares(model))
    assert seen == [{1.0}, {0.75}, {0.5}, {0.25}, {0.0}, {0.0}]
    state.total = None
    with pytest.raises(ValueError, match="nobody knows how many"):
        callback.on_step(state)


def test_equal_bytes() -> None:
    """Not more than the PAD-Net's deployed numbers and a bit a weight, and less by no more than a cell."""
    setup = images(tiny_cnn.load)
    fixed = stored_bytes(setup.model)
    static = sum(layer.weight_shape.numel() for layer in dynamic(images(tiny_cnn.load)))
    target = fixed - 4 * static
    for layer in dynamic(images(tiny_cnn.load)):
        n = layer.weight_shape.numel()
        others = sum(parameter.numel() for parameter in layer.parameters()) - layer.bank.numel()
        target += 4 * (n * (1 + 3 * 0.5) + others + 1) + n / 8
    model = KernelWarehouse(train="none", equal_to=0.5).prepare(setup.model, setup.context)
    assert 0.85 * target < stored_bytes(model) < 1.02 * target


def dynamic(setup: Setup) -> list[DynamicLayer]:
    model = make_dynamic(setup.model, ConvConfig())
    return [module for module in model.modules() if isinstance(module, DynamicLayer)]


def test_what_it_refuses() -> None:
    setup = images()
    with pytest.raises(NotApplicable, match="nothing to make dynamic"):
        KernelWarehouse().prepare(setup.model, setup.context)
    for options, message in (
        ({"budget": 0}, "budget=0"),
        ({"equal_to": 1.5}, "equal_to=1.5"),
        ({"kernels": 0}, "kernels=0"),
        ({"release": -1}, "release=-1"),
    ):
        with pytest.raises(ValueError, match=message):
            KernelWarehouse(**options)  # type: ignore[arg-type]
