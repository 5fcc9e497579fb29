"""The deployed form of whole models: the same outputs, the bytes of the formula, what stays named."""

import copy
import math

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.dynamic.partitioning.compacting import compact
from sparsebench.models.dynamic.partitioning.idle import freeze_idle
from sparsebench.models.dynamic.partitioning.partition import partition
from sparsebench.models.dynamic.partitioning.parts import attention_vectors, dynamic_layers
from sparsebench.models.errors import ModelError

KINDS = ("dy_conv", "cond_conv", "od_conv")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(kind: str = "dy_conv", kernels: int = 3, **options) -> nn.Module:
    """A ResNet of 1 x 1 and 3 x 3 convolutions with strides, and attentions that are not at their start."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = timm.models.resnet.BasicBlock
        widths = (4, 6, 8, 8)
        net = timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=widths, num_classes=3, zero_init_last=False)
        net = net.double()
    config = ConvConfig(kind=kind, num_kernels=kernels, noise=1.0, **options)
    net = make_dynamic(net, config)
    drawn = generator(1)
    for name, parameter in net.named_parameters():
        if "attention" in name or "routing" in name:
            parameter.data.normal_(std=0.5, generator=drawn)
    return net.eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=generator(2), dtype=torch.float64)


def partitioned(kind: str, granularity: str, scale: str = "both", **options) -> nn.Module:
    net = network(kind, **options)
    partition(net, 0.4, criterion="random", granularity=granularity, scale=scale, generator=generator(3))
    for number, layer in enumerate(dynamic_layers(net).values()):
        layer.partition.phi.data.fill_(0.1 * number - 0.5)
        layer.partition.static.data.normal_(std=0.2, generator=generator(number))
    return net


@pytest.mark.parametrize("scale", ["both", "pruned"])
@pytest.mark.parametrize("granularity", ["weight", "row", "channel"])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_stay(kind, granularity, scale):
    """Invariant 10: compact() output == masked output."""
    net = partitioned(kind, granularity, scale)
    before = net(images())
    report = compact(net)
    assert report.left == () and len(report.layers) == len(dynamic_layers(net))
    torch.testing.assert_close(net(images()), before, rtol=1e-8, atol=1e-10)
    assert all(layer.partition is None and layer.bank is None for layer in dynamic_layers(net).values())


def test_all_that_trains_has_a_gradient_where_all_rows_are_dynamic():
    """A static part without an entry would never get one, for which data-parallel training would wait."""
    net = network("dy_conv")
    for layer in dynamic_layers(net).values():
        layer.set_partition()
    freeze_idle(net)
    compact(net)
    net(images()).sum().backward()
    assert not [name for name, one in net.named_parameters() if one.requires_grad and one.grad is None]
    assert all(layer.compact.dynamic.requires_grad for layer in dynamic_layers(net).values())


@pytest.mark.parametrize("name", ["mobilenetv2_050", "convnext_atto"])
def test_outputs_stay_with_groups_and_biases(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model(name, num_classes=3).double()
    net = make_dynamic(net, ConvConfig(num_kernels=2, noise=0.5, which="depthwise")).eval()
    for granularity in ("weight", "row"):
        one = copy.deepcopy(net)
        partition(one, 0.5, criterion="random", granularity=granularity, generator=generator())
        before = one(images(2))
        compact(one)
        torch.testing.assert_close(one(images(2)), before, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("granularity", ["weight", "row", "channel"])
def test_bytes_are_those_of_the_formula(granularity):
    """Section 1.6: (1 - kappa) n + K kappa n numbers and a bit for each unit; everything else is as it was."""
    net = partitioned("dy_conv", granularity).float()
    rest = 0
    for name, value in net.state_dict().items():
        if not name.endswith(".bank") and ".partition." not in name:
            rest += value.nbytes
    expected = 0
    for layer in dynamic_layers(net).values():
        mask = layer.partition.mask
        dynamic = int(mask.sum())
        units = {"weight": mask.numel(), "row": mask.shape[0], "channel": mask.shape[1]}[granularity]
        if mask.all() or not mask.any():
            units = mask.shape[0]
        expected += 4 * (mask.numel() - dynamic + layer.num_kernels * dynamic) + math.ceil(units / 8)
    full = stored_bytes(network().float())
    report = compact(net)
    assert stored_bytes(net) == expected + rest
    layers = dynamic_layers(net).values()
    assert report.numbers == sum(layer.dynamic_parameters() + layer.static_parameters() for layer in layers)
    assert report.numbers < report.before and stored_bytes(net) < full


def test_parameters_are_counted_with_what_is_not_stored():
    net = partitioned("dy_conv", "weight")
    full = count_parameters(network()).total
    compact(net)
    counts = count_parameters(net)
    stored = sum(parameter.numel() for parameter in net.parameters())
    assert counts.nonzero == stored and counts.total == full


def test_what_has_no_compact_form_stays_and_is_named():
    net = nn.ModuleDict({"other": network(), "dy": network()})
    partition(net["dy"], 0.4, criterion="random", generator=generator())
    partition(net["other"], 0.4, criterion="random", generator=generator())
    for layer in dynamic_layers(net["other"]).values():
        layer.mixes_kernels = False  # as a linear mixture that is `faithful`
    report = compact(net)
    assert all(name.startswith("dy.") for name in report.layers)
    assert all(name.startswith("other.") for name in report.left) and report.left
    with pytest.raises(ModelError, match="no compact form"):
        next(iter(dynamic_layers(net["other"]).values())).take_compact_form()


def test_nothing_to_compact_is_refused():
    with pytest.raises(ModelError, match="no dynamic layer"):
        compact(nn.Linear(2, 2))
    with pytest.raises(ModelError, match="partition\\(model, ratio\\) first"):
        compact(network())
    net = partitioned("dy_conv", "row")
    compact(net)
    with pytest.raises(ModelError, match="partition\\(model, ratio\\) first"):
        compact(net)
    with pytest.raises(ModelError, match="compact form already"):
        next(iter(dynamic_layers(net).values())).take_compact_form()


def test_a_compact_model_trains_and_its_state_comes_back():
    net = partitioned("dy_conv", "weight")
    compact(net)
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(images()).square().sum().backward()
    optimizer.step()
    moved = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert any(name.endswith("compact.static") for name in moved)
    assert any(name.endswith("compact.dynamic") for name in moved)
    assert not any(name.endswith("bits") for name in moved)
    again = partitioned("dy_conv", "weight")
    compact(again)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.eval()(images()), net.eval()(images()), rtol=0, atol=0)


@pytest.mark.parametrize("scale", ["both", "pruned"])
@pytest.mark.parametrize("of", ["attentions", "both"])
def test_attentions_take_their_form_and_outputs_stay(of, scale):
    net = network("od_conv")
    report = partition(net, 0.4, of=of, criterion="random", scale=scale, generator=generator(3))
    for number, vector in enumerate(attention_vectors(net).values()):
        vector.partition.phi.data.fill_(0.1 * number - 0.5)
    before = net(images())
    full = stored_bytes(net)
    found = compact(net)
    torch.testing.assert_close(net(images()), before, rtol=1e-8, atol=1e-10)
    assert list(found.attentions) == list(attention_vectors(net)) and stored_bytes(net) < full
    assert found.left == (tuple(dynamic_layers(net)) if of == "attentions" else ())
    scales = len(found.attentions)
    if scale == "both":
        assert found.numbers == report.stored + scales
    with pytest.raises(ModelError, match="partition\\(model, ratio\\) first"):
        compact(net)


def test_an_attention_of_constants_alone_needs_no_row():
    net = network("od_conv")
    partition(net, 0.0, of="attentions")
    before = net(images())
    report = compact(net)
    factors = sum(vector.weight_shape.numel() for vector in attention_vectors(net).values())
    assert report.numbers == factors + len(report.attentions)
    torch.testing.assert_close(net(images()), before, rtol=1e-8, atol=1e-10)


def test_every_mask_of_a_network_is_found_and_used():
    """The released code pairs masks and kernels by name and finds no pair for DY-Conv: its partition does nothing."""
    net = network()
    net.train()
    labels = torch.tensor([0, 1, 2])

    def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(model(batch), labels)

    before = net.eval()(images())
    report = partition(net, 0.3, batches=[images()], loss_fn=loss, static="random", generator=generator())
    masks = [layer.partition.mask for layer in dynamic_layers(net).values()]
    assert len(report.layers) == len(masks) == len([m for m in net.modules() if hasattr(m, "bank")])
    assert sum(int(mask.sum()) for mask in masks) == round(0.3 * sum(mask.numel() for mask in masks))
    after = net.eval()(images())
    assert not torch.allclose(before, after), "the network computes with its static weights now"
    for layer in dynamic_layers(net).values():
        layer.partition.mask.fill_(True)
    torch.testing.assert_close(net(images()), before)
