import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from sparsebench.models import load, save
from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.dynamic import (
    ConvConfig,
    DynamicConfig,
    DynamicLayer,
    MixtureConfig,
    WarehouseConfig,
    compact,
    make_dynamic,
    partition,
)
from sparsebench.models.dynamic.convolution import DynamicConv2d
from sparsebench.models.errors import ModelError

from .convolution.reference import network, pictures

NETWORKS = ["resnet10t", "mobilenetv2_050", "tf_efficientnet_lite0", "convnext_atto"]
KINDS = ["dy_conv", "cond_conv", "od_conv"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_computes_at_first_what_the_network_did(name: str) -> None:
    model, x = network(name), pictures()
    before = model(x)
    for kind in KINDS:
        changed: Any = make_dynamic(copy.deepcopy(model), ConvConfig(kind=kind))  # type: ignore[arg-type]
        assert (changed(x) - before).abs().max() < 1e-5 * before.abs().max()
        assert describe(changed).head is not None, "still described"
        loss = changed.train()(x).square().mean()
        loss.backward()
        layers = [module for module in changed.modules() if isinstance(module, DynamicLayer)]
        assert layers and all(layer.bank.grad is not None for layer in layers)


PUBLISHED = {
    "resnet18": (11_689_512, {0.1: 15.11, 0.3: 21.81, 0.5: 28.50, 1: 45.24}),
    "resnet50": (25_557_032, {0.1: 33.84, 0.3: 47.90, 1: 97.14}),
    "mobilenetv2_100": (3_504_872, {0.3: 6.06, 1: 10.65}),
    "mobilenetv2_050": (1_968_680, {0.1: 2.32, 0.5: 3.12, 1: 4.12}),
}
"""Parameters, and by share of dynamic weights millions of them: 1 is DY-Conv, the others are PAD-Net's."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_published_networks(name: str) -> None:
    """Stem and classifier static, shortcuts and the last 1 x 1 convolution dynamic, four kernels.

    (1 - κ) n + K κ n for a layer with n weights, its attention and, of a partition, one scalar.
    """
    with torch.device("meta"):
        model = timm.create_model(name)
    static, published = PUBLISHED[name]
    assert count_parameters(model).total == static
    sites = dynamic_sites(model)
    kernels = sum(site.get().weight.numel() for site in sites)
    attentions = sum(attention_parameters(site.get().in_channels) for site in sites)
    for ratio, millions in published.items():
        scalars = len(sites) if ratio < 1 else 0
        assert round((static + 3 * ratio * kernels + attentions + scalars) / 1e6, 2) == millions, ratio


def test_layers_count_what_a_partition_uses() -> None:
    model = make_dynamic(network("mobilenetv2_050"), ConvConfig())
    classifier = 1280 * (1000 - 5) + 995
    layers = [module for module in model.modules() if isinstance(module, DynamicLayer)]
    whole = count_parameters(model).total
    stored = sum(layer.bank.numel() for layer in layers)
    for layer in layers:
        mask = torch.arange(layer.bank[0].numel()) % 10 == 0
        layer.set_partition(mask.view(layer.weight_shape))
    used = sum(layer.dynamic_parameters() + layer.static_parameters() + 1 for layer in layers)
    assert round((whole - stored + used + classifier) / 1e6, 2) == 2.32, "κ = .1"
    assert count_parameters(model).total == whole + stored // 4 + len(layers), "in training: (K + 1) n, as the release"


def test_layers_have_as_many_parameters_as_reckoned() -> None:
    model = network("mobilenetv2_050")
    sites = dynamic_sites(model)
    reckoned = count_parameters(model).total
    for site in sites:
        reckoned += 3 * site.get().weight.numel() + attention_parameters(site.get().in_channels)
    assert count_parameters(make_dynamic(model, ConvConfig())).total == reckoned


def dynamic_sites(model: nn.Module) -> list:
    anatomy = describe(model)
    sites = [site for block in anatomy.blocks for site in (*block.convs, *block.shortcut_convs)]
    return sites + list(anatomy.last_convs)


def attention_parameters(channels: int) -> int:
    hidden = max(1, channels // 16)
    return channels * hidden + hidden * 4 + 4


def test_stem_and_classifier_stay_static() -> None:
    model = make_dynamic(network("mobilenetv2_050"), ConvConfig())
    plain = [name for name, module in model.named_modules() if type(module) in (nn.Conv2d, nn.Linear)]
    assert [name for name in plain if ".attention." not in name] == ["conv_stem", "classifier"]


def test_training_goes_down() -> None:
    model: Any = make_dynamic(network("resnet10t"), ConvConfig(which="spatial", temperature=1)).train()
    x, y = pictures(), torch.tensor([0, 1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    banks = [module.bank for module in model.modules() if isinstance(module, DynamicConv2d)]
    assert all(not torch.equal(bank[0], bank[1]) for bank in banks), "copies have become different kernels"


def test_bfloat16_and_autocast() -> None:
    model: Any = make_dynamic(network("resnet10t"), ConvConfig())
    x = pictures()
    expected = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert ((model(x) - expected).norm() / expected.norm()).item() < 0.05
    assert ((model.bfloat16()(x.bfloat16()) - expected).norm() / expected.norm()).item() < 0.05


@pytest.mark.parametrize(
    ("change", "config", "message"),
    [
        (None, DynamicConfig(), "make_dynamic takes a .*ConvConfig.*, not a DynamicConfig"),
        (None, ConvConfig(blocks=(0, 9)), r"blocks=\(0, 9\): the model has blocks 0\.\.3"),
        (None, ConvConfig(which="depthwise"), "which='depthwise': there is nothing to make dynamic"),
        ("dynamic", ConvConfig(), "layer1.0.conv1 is a DyConv2d: only an nn.Conv2d"),
        ("tied", ConvConfig(), "layer1.0.conv1.weight and layer1.0.conv2.weight are one tensor"),
    ],
)
def test_what_is_refused_leaves_the_model_as_it_was(change: str | None, config: DynamicConfig, message: str) -> None:
    model: Any = network("resnet10t")
    if change == "dynamic":
        make_dynamic(model, ConvConfig(blocks=(0,)))
    if change == "tied":
        model.layer1[0].conv2.weight = model.layer1[0].conv1.weight
    before = list(model.named_modules())
    with pytest.raises(ModelError, match=message):
        make_dynamic(model, config)
    assert list(model.named_modules()) == before


class Plain(nn.Sequential):
    """Of no family that is known here."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 6, 3), nn.Sequential(nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1)))


def test_by_name_in_a_model_that_nobody_describes(tmp_path: Path) -> None:
    """Made dynamic, partitioned, compacted, saved and loaded; and again in another part of the model."""
    model, x = Plain().eval(), pictures()
    with torch.no_grad():
        before = model(x)
        make_dynamic(model, ConvConfig(num_kernels=2), modules="1")
        make_dynamic(model, ConvConfig(kind="od_conv", num_kernels=2), modules="0")
        torch.testing.assert_close(model(x), before)
        partition(model, 0.4, criterion="random", generator=torch.Generator().manual_seed(0))
        compact(model)
        save(model, tmp_path / "net", like=Plain(), example=x)
        assert torch.equal(load(tmp_path / "net", like=Plain())(x), model(x))


def test_names_are_of_convolutions_only() -> None:
    for config in (MixtureConfig(), WarehouseConfig()):
        with pytest.raises(ModelError, match=f"names convolutions for a ConvConfig, not for a {type(config).__name__}"):
            make_dynamic(Plain(), config, modules="0")
    shared: Any = Plain()
    shared[1][0] = nn.Conv2d(3, 6, 3)
    shared[1][0].weight = shared[0].weight
    with pytest.raises(ModelError, match=r"0\.weight and 1\.0\.weight are one tensor"):
        make_dynamic(shared, ConvConfig(), modules="1")


def test_a_model_without_convolutions_is_refused() -> None:
    with pytest.raises(ModelError, match="no convolution of this VisionTransformer"):
        make_dynamic(timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2), ConvConfig())


def test_conditional_convolutions_of_timm_are_named():
    """They are no plain convolutions: those around them become dynamic, and nobody takes the model for wholly ours."""
    with torch.device("meta"):
        net = timm.create_model("tf_efficientnet_cc_b0_4e")
    foreign = [name for name, module in net.named_modules() if isinstance(module, timm.layers.CondConv2d)]
    with pytest.warns(
        UserWarning, match=f"{len(foreign)} layers .* as {foreign[0]}, are timm's CondConv2d.*TimmCondConv"
    ):
        make_dynamic(net, ConvConfig(num_kernels=2))
    assert all(isinstance(net.get_submodule(name), timm.layers.CondConv2d) for name in foreign)


def test_of_a_network_that_nobody_knows_the_way_by_names_is_said() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(UnknownAnatomy, match=r"no describer knows .*; or name its convolutions by modules="):
        make_dynamic(model, ConvConfig())
    with pytest.raises(UnknownAnatomy) as refused:
        make_dynamic(model, MixtureConfig())
    assert "modules=" not in str(refused.value)
    assert isinstance(make_dynamic(model, ConvConfig(), modules="0")[0], DynamicConv2d)
