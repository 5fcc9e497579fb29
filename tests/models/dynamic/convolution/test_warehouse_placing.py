import copy
from typing import Any

import pytest
import timm
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.dynamic.convolution import WarehouseConfig
from sparsebench.models.dynamic.convolution.warehouse import WarehouseConv2d, release_cells
from sparsebench.models.dynamic.convolution.warehouse_placing import budget_for, cell_size, sharing_groups
from sparsebench.models.errors import ModelError

from .reference import network, pictures


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv2_050"])
@pytest.mark.parametrize("budget", [1.0, 1.5])
def test_from_a_budget_of_one_the_network_is_what_it_was(name: str, budget: float) -> None:
    model, x = network(name), pictures()
    before = model(x)
    changed: Any = make_dynamic(model, WarehouseConfig(budget=budget))
    assert (changed(x) - before).abs().max() < 1e-5 * before.abs().max()
    release_cells(changed, 0.0)
    assert (changed(x) - before).abs().max() < 1e-5 * before.abs().max(), "the attention points at the same cells"


def test_stages_share_and_kinds_of_kernels_do_not() -> None:
    groups = sharing_groups(describe(network()), WarehouseConfig())
    names = [[site.path for site in group] for group in groups]
    assert names[1] == ["layer2.0.conv1", "layer2.0.conv2"] and names[2] == ["layer2.0.downsample.1"]
    assert [cell_size(group) for group in groups][:3] == [36_864, 73_728, 8_192]
    model: Any = make_dynamic(network(), WarehouseConfig())
    block = model.layer2[0]
    assert block.conv1.warehouse is block.conv2.warehouse
    assert block.conv1.warehouse is not model.layer3[0].conv1.warehouse
    assert block.conv1.warehouse.cells.shape == (3, 73_728), "one cell of the first, two of the second"


def test_below_one_cells_are_shared_from_their_mean() -> None:
    model: Any = make_dynamic(network(), WarehouseConfig(budget=0.5, blocks=(0,)))
    weights = [module.weight for module in (network().layer1[0].conv1, network().layer1[0].conv2)]  # type: ignore[index]
    mean = (weights[0] + weights[1]) / 2
    torch.testing.assert_close(model.layer1[0].conv1.warehouse.cells[0], mean.flatten())


def test_training_moves_shared_cells() -> None:
    model: Any = make_dynamic(network(), WarehouseConfig()).train()
    release_cells(model, 0.5)
    model(pictures()).square().mean().backward()
    layers = [module for module in model.modules() if isinstance(module, WarehouseConv2d)]
    assert len(layers) == 11
    assert all(layer.warehouse.cells.grad is not None for layer in layers)
    assert all(layer.attention.excite.weight.grad is not None for layer in layers)


def test_equal_parameters() -> None:
    """As many as a partially dynamic network of κ = .1 has, or fewer by less than the coarsest step."""
    model = network("mobilenetv2_050")
    anatomy = describe(model)
    sites = [site for group in sharing_groups(anatomy, WarehouseConfig()) for site in group]
    kernels = sum(site.get().weight.numel() for site in sites)
    target = round(1.3 * kernels)
    budget = budget_for(anatomy, WarehouseConfig(), target)
    before = count_parameters(model).total
    made = make_dynamic(copy.deepcopy(model), WarehouseConfig(budget=budget))
    spent = count_parameters(made).total - (before - kernels)
    assert 0.9 * target < spent <= target
    with pytest.raises(ModelError, match="parameters=1000: warehouses of one cell"):
        budget_for(anatomy, WarehouseConfig(), 1000)


def test_what_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing to make dynamic"):
        make_dynamic(timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2), WarehouseConfig())
    with pytest.raises(ModelError, match="is a DyConv2d"):
        make_dynamic(make_dynamic(network(), ConvConfig()), WarehouseConfig())
    with pytest.raises(ModelError, match=r"blocks=\(7,\)"):
        make_dynamic(network(), WarehouseConfig(blocks=(7,)))


@pytest.mark.parametrize(
    ("budget", "here", "released"), [(1, 11.77, 11.93), (0.5, 7.05, 7.43), (0.25, 3.91, 4.08), (4, 45.25, 45.86)]
)
def test_how_many_parameters_fewer_than_the_released_layer(budget: float, here: float, released: float) -> None:
    """Millions, ResNet-18 with 1,000 classes; `released` is the README of OSVAI/KernelWarehouse at a4ac17d."""
    with torch.device("meta"):
        model = timm.create_model("resnet18")
    found = count_parameters(make_dynamic(model, WarehouseConfig(budget=budget))).total / 1e6
    assert found == pytest.approx(here, abs=0.005)
    assert 0.94 < found / released < 0.99
