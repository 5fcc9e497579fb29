from collections.abc import Callable

import torch
from torch import nn

from sparsebench.models.adapters.layer import AdapterLayer, FrozenNorm
from sparsebench.models.adapters.wrapping import freeze_norms, path_without_wrappers, unwrap, wrap


def wrapped() -> tuple[nn.Module, list[AdapterLayer]]:
    """Two layers around the first module, one around the second; owners by letter."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    layers = [AdapterLayer(model[0])]
    layers.append(AdapterLayer(layers[0]))
    layers.append(AdapterLayer(model[1][1]))
    for layer, owner in zip(layers, "aba", strict=True):
        layer.owner = owner
    model[0] = layers[1]
    model[1][1] = layers[2]
    return model, layers


def of(owner: str) -> Callable[[nn.Module], bool]:
    return lambda module: isinstance(module, AdapterLayer) and module.owner == owner


def test_unwrap_and_wrap_are_inverse() -> None:
    model, layers = wrapped()
    types = [type(module) for module in model.modules()]
    gone = unwrap(model, of("a"))
    assert [(name, layer) for _, name, layer in gone] == [("base_layer", layers[0]), ("1", layers[2])]
    assert model[0] is layers[1] and isinstance(layers[1].base_layer, nn.Linear)
    assert isinstance(model[1][1], nn.Linear)
    assert wrap(gone)
    assert [type(module) for module in model.modules()] == types and layers[1].base_layer is layers[0]


def test_wrap_refuses_a_changed_model_and_leaves_it_alone() -> None:
    model, _ = wrapped()
    gone = unwrap(model, of("a"))
    first_parent, first_name, _ = gone[0]
    setattr(first_parent, first_name, nn.Linear(2, 2))
    modules = list(model.modules())
    assert not wrap(gone)
    assert all(one is other for one, other in zip(modules, model.modules(), strict=True))


def test_paths_without_wrappers() -> None:
    model, _ = wrapped()
    assert path_without_wrappers(model, "0.base_layer.base_layer") == "0"
    assert path_without_wrappers(model, "1.1.base_layer") == "1.1"
    model[1] = AdapterLayer(model[1])
    assert path_without_wrappers(model, "1.1") == path_without_wrappers(model, "1.base_layer.1") == "1.1"
    own = nn.Module()
    own.base_layer = nn.Linear(2, 2)  # a name of its own, not a wrapper's
    assert path_without_wrappers(nn.Sequential(own), "0.base_layer") == "0.base_layer"


def test_batch_norms_are_frozen_once() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.LayerNorm(3), nn.BatchNorm2d(3)))
    freeze_norms(model)
    freeze_norms(model)
    assert isinstance(model[0], FrozenNorm) and isinstance(model[0].base_layer, nn.BatchNorm1d)
    assert isinstance(model[1][0], nn.LayerNorm) and isinstance(model[1][1].base_layer, nn.BatchNorm2d)
    before = model[0].base_layer.running_var.clone()
    model[0](torch.randn(9, 3))
    assert torch.equal(model[0].base_layer.running_var, before)
