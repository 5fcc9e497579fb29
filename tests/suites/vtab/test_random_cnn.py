"""Convolutional networks from scratch: sizes of the published tables, weights from the generator, image sizes."""

import importlib
from typing import Any

import pytest
import timm
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import stored_bytes
from sparsebench.models.dynamic import ConvConfig, compact, make_dynamic, partition
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.vtab.body import VisionBody
from sparsebench.suites.vtab.random_cnn import cifar_resnet, resnet, timm_network

NAMES = (
    "resnet10_random",
    "resnet10_quarter_random",
    "resnet10_wide_quarter_random",
    "resnet20_random",
    "resnet20_wide_random",
    "mobilenetv2_050_random",
    "tiny_cnn",
)


def load(name: str, seed: int = 0, argument: str | None = None) -> VisionBody:
    module: Any = importlib.import_module(f"sparsebench.suites.vtab.backbones.{name}")
    return module.load(torch.Generator().manual_seed(seed), argument)


def parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_with_a_head_for_imagenet_they_have_the_published_sizes():
    """5.42 M and 1.97 M, as the sheet of PAD-Net counts them."""
    assert parameters(resnet()) + 512 * 1000 + 1000 == 5_418_792
    assert parameters(timm_network("mobilenetv2_050")) + 1280 * 1000 + 1000 == 1_968_680
    assert parameters(timm.create_model("mobilenetv2_050")) == 1_968_680


def test_resnet_20_has_the_published_size_but_for_its_shortcuts():
    """0.27 M in table 6 of He et al.: convolutions, norms and the classifier; shortcuts have 2,752."""
    convolutions = 9 * (3 * 16 + 6 * 16 * 16 + 16 * 32 + 5 * 32 * 32 + 32 * 64 + 5 * 64 * 64)
    norms = 2 * (7 * 16 + 6 * 32 + 6 * 64)
    assert parameters(cifar_resnet()) == convolutions + norms + 2_752 == 271_824
    assert round((convolutions + norms + 650) / 1e6, 2) == 0.27


def test_the_wide_resnet_20_has_the_bytes_of_a_pad_net():
    dynamic = make_dynamic(cifar_resnet(), ConvConfig())
    partition(dynamic, 0.3, criterion="random", generator=torch.Generator().manual_seed(0))
    compact(dynamic)
    assert 0.99 < stored_bytes(load("resnet20_wide_random").network) / stored_bytes(dynamic) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_the_generator_and_the_anatomy_is_known(name):
    body = load(name)
    again, other = load(name), load(name, seed=1)
    pairs = list(zip(body.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, same) for one, same, _ in pairs)
    assert any(not torch.equal(one, differs) for one, _, differs in pairs)
    entry = find("backbone", name, "vtab")
    assert describe(body).traits | {"parameters", "features"} >= entry.traits
    assert entry.constant("RANDOM_WEIGHTS", False) and entry.sources == ()


@pytest.mark.parametrize("name", NAMES)
def test_images_of_the_size_go_through(name):
    body = load(name, argument="32").eval()
    assert body.size == 32
    features = body(torch.randn(2, 3, 32, 32))
    assert features.shape == (2, body.width)
    with pytest.raises(ValueError, match="image size"):
        load(name, argument="16")


@pytest.mark.parametrize("name", NAMES)
def test_every_convolution_gets_a_gradient_at_the_start(name):
    """With norms that start at 0, as timm's ResNets have them, the loss does not depend on most convolutions."""
    body = load(name).eval()
    features = body(torch.randn(2, 3, body.size, body.size, generator=torch.Generator().manual_seed(0)))
    features.square().sum().backward()
    weights = [module.weight for module in body.modules() if isinstance(module, torch.nn.Conv2d)]
    assert weights and all(weight.grad is not None and weight.grad.any() for weight in weights)
