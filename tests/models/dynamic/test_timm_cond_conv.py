"""timm's CondConv networks as ours: the same numbers, a partition in three lines, a folder, refusals."""

import copy
from pathlib import Path

import pytest
import timm
import torch
from timm.layers.cond_conv2d import CondConv2d
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.dynamic import compact, dynamic_layers, make_dynamic, partition
from sparsebench.models.dynamic.timm_cond_conv import RoutedConv2d, TimmCondConv
from sparsebench.models.errors import ModelError

from ..agreement import agree

NAMES = ("tf_efficientnet_cc_b0_4e", "efficientnet_cc_b0_8e")
"""With TensorFlow's padding and four kernels, with torch's and eight."""


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def network(name: str) -> nn.Module:
    """With statistics in its norms, without which its inputs would hardly matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = timm.create_model(name, num_classes=3)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        with torch.no_grad():
            made.train()(images(6))
    return made.eval()


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return network(NAMES[0])


@pytest.fixture
def model(original: nn.Module) -> nn.Module:
    return make_dynamic(copy.deepcopy(original), TimmCondConv())


def relative(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    return model(batch).square().mean()


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_those_of_timm(name: str) -> None:
    theirs = network(name)
    ours = make_dynamic(copy.deepcopy(theirs), TimmCondConv())
    layers = dynamic_layers(ours)
    assert len(layers) == 24 and all(isinstance(layer, RoutedConv2d) for layer in layers.values())
    assert not any(isinstance(module, CondConv2d) for module in ours.modules())
    agree(ours(images()), theirs(images()), "logits", within=1e-5)
    loss(ours, images()).backward()
    loss(theirs, images()).backward()
    for path in ("blocks.4.0.conv_dw", "blocks.6.0.conv_pwl"):
        wanted = theirs.get_parameter(f"{path}.weight").grad
        found = ours.get_parameter(f"{path}.bank").grad
        assert wanted is not None and found is not None
        agree(found.flatten(1), wanted, "gradients", within=1e-4)


@torch.no_grad()
def test_a_layer_with_biases() -> None:
    theirs = CondConv2d(6, 4, 3, stride=2, padding="same", groups=2, bias=True, num_experts=3)
    ours = RoutedConv2d.of(theirs, torch.ones(3))
    x, fractions = torch.randn(5, 6, 8, 9), torch.rand(5, 3)
    agree(ours(x, fractions), theirs(x, fractions), "outputs", within=1e-5)


@torch.no_grad()
def test_a_partition_and_its_deployed_form(model: nn.Module) -> None:
    before = model(images())
    with torch.enable_grad():
        report = partition(model, 0.3, batches=[images()], loss_fn=loss)
    assert report.dynamic_ratio == pytest.approx(0.3, abs=1e-5)
    layer = dynamic_layers(model)["blocks.5.0.conv_pw"]
    assert layer.partition is not None and 0 < layer.partition.ratio < 1
    fractions = torch.sigmoid(model.get_parameter("blocks.5.0.routing_fn.bias"))
    wanted = (fractions[:, None, None, None, None] * layer.bank).sum(0)
    torch.testing.assert_close(layer.partition.static, wanted)
    partitioned = model(images())
    assert partitioned.isfinite().all() and relative(partitioned, before) > 1e-3
    compact(model)
    agree(model(images()), partitioned, "logits", within=1e-5)


@torch.no_grad()
def test_where_inputs_do_not_matter_a_partition_changes_nothing(model: nn.Module) -> None:
    """As the static part is then what the network computed."""
    for name, parameter in model.named_parameters():
        if name.endswith("routing_fn.weight"):
            parameter.zero_()
    before = model(images())
    partition(model, 0.3, criterion="random", generator=torch.Generator().manual_seed(0))
    agree(model(images()), before, "logits", within=1e-5)


@torch.no_grad()
def test_a_folder_brings_the_partition_back(model: nn.Module, tmp_path: Path) -> None:
    partition(model, 0.3, criterion="magnitude", granularity="row")
    save(model, tmp_path / "ours", example=images())
    assert torch.equal(load(tmp_path / "ours")(images()), model(images()))


def test_refusals(model: nn.Module) -> None:
    with torch.device("meta"):
        plain = timm.create_model("resnet18")
    for changed, words in (
        (plain, "this ResNet has no CondConv2d of timm: ConvConfig is for plain convolutions"),
        (nn.Sequential(CondConv2d(2, 2, 1)), "0 lies in a Sequential, which does not route as the blocks of timm do"),
        (model, "this SparsebenchEfficientNet has no CondConv2d of timm"),
    ):
        with pytest.raises(ModelError, match=words):
            make_dynamic(changed, TimmCondConv())
    assert isinstance(plain.get_submodule("conv1"), nn.Conv2d)
    with pytest.raises(ModelError, match="it has no options"):
        TimmCondConv(num_kernels=8)
    with pytest.raises(ModelError, match="gets the fractions of its kernels from its block"):
        next(iter(dynamic_layers(model).values())).mixing_coefficients(images())
