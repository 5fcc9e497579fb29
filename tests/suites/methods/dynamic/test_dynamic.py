"""Dynamic convolutions and PAD-Net as rows of a task: what they need, what is deployed, what a record says."""

from typing import Any

import pytest
import torch

from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.models.dynamic.partitioning.parts import attention_vectors, dynamic_layers
from sparsebench.models.dynamic.temperature import HasTemperature
from sparsebench.suites.contracts.applicability import reason_against
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.contracts.traits import CALIBRATION_DATA, Backbone
from sparsebench.suites.methods.dynamic._dynamic import (
    DYNAMIC,
    ODCONV_ATTENTIONS,
    Annealing,
    check_attentions,
    in_float32,
    mode_curves,
)
from sparsebench.suites.methods.dynamic.dynamic_conv import DynamicConv
from sparsebench.suites.methods.dynamic.fd_conv import FDConv
from sparsebench.suites.methods.dynamic.pad_net import PadNet
from sparsebench.suites.training.callbacks import TrainingState
from sparsebench.suites.vtab.backbones import tiny_cnn
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ..setups import images

FEW_STEPS = Budget(steps=4, batch_size=16, test_examples=16, calibration_examples=32)


def dynamic(setup: Setup, **options: Any) -> torch.nn.Module:
    return DynamicConv(train="none", **{"noise": 1.0, **options}).prepare(setup.model, setup.context)


def test_pad_net_trains_and_deploys_what_its_ratio_says():
    setup = images(tiny_cnn.load)
    model = dynamic(setup)
    full = stored_bytes(model)
    method = PadNet(ratio=0.25, warmup_steps=0)
    model = method.prepare(model, setup.context)
    total = sum(layer.weight_shape.numel() for layer in dynamic_layers(model).values())
    chosen = sum(int(layer.partition.mask.sum()) for layer in dynamic_layers(model).values())
    assert chosen == round(0.25 * total)
    curves = method.fit(model, setup.data, setup.context)
    places = len(dynamic_layers(model))
    assert len(curves["dynamic share by layer"]) == len(curves["factor of the dynamic part by layer"]) == places
    assert any(factor != 1 for _, factor in curves["factor of the dynamic part by layer"])
    temperatures = [m.temperature.item() for m in model.modules() if isinstance(m, HasTemperature)]
    assert temperatures and set(temperatures) == {1.0}, "a buffer that training leaves at its end"
    before = setup.context.outputs(model.eval(), setup.context.batches()[0])
    deployed = method.deploy(model)
    after = setup.context.outputs(deployed, setup.context.batches()[0])
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert stored_bytes(deployed) < full and mode_curves(deployed) == {}
    assert all(layer.compact is not None for layer in dynamic_layers(deployed).values())


def trained_and_stored(options: dict[str, Any]) -> tuple[int, int]:
    """Parameters trained as a record has them, and numbers of the deployed form with a gradient."""
    setup = images(tiny_cnn.load, budget=FEW_STEPS)
    method = PadNet(criterion="random", warmup_steps=0, **options)
    kinds: dict[str, Any] = {"kernels": {}, "both": {"kind": "od_conv", "kernels": 2}}
    model = method.prepare(dynamic(setup, **kinds[method.of]), setup.context)
    method.fit(model, setup.data, setup.context)
    costs = setup.context.ledger.costs()
    assert costs is not None and costs.params is not None
    partitions = [layer.partition for layer in dynamic_layers(model).values()]
    folded = sum(partition.phi.requires_grad for partition in partitions)
    return costs.params, count_parameters(method.deploy(model)).trainable + folded


@pytest.mark.parametrize("of", ["kernels", "both"])
def test_parameters_trained_are_those_that_the_ratio_uses(of):
    """They were the same number at every ratio, more than the fully dynamic network has."""
    found = {}
    for ratio in (0.4, 1.0):
        found[ratio], stored = trained_and_stored({"of": of, "ratio": ratio, "scope": "local"})
        assert found[ratio] == stored, ratio
    assert found[0.4] < found[1.0]


@pytest.mark.parametrize(
    "options", [{"ratio": 0.0}, {"ratio": 0.3, "scale": "pruned"}, {"ratio": 0.3, "train": "norms"}]
)
def test_what_is_frozen_as_a_whole_is_not_counted(options):
    trained, stored = trained_and_stored(options)
    assert trained == stored


@pytest.mark.parametrize("of", ["attentions", "both"])
def test_attentions_of_odconv_are_partitioned_trained_and_deployed(of):
    """Of a network whose kernels are copies and whose attentions start at 0: the warm-up gives scores to see."""
    setup = images(tiny_cnn.load, budget=FEW_STEPS)
    model = dynamic(setup, kind="od_conv", kernels=2, noise=0.0)
    method = PadNet(ratio=0.25, of=of, warmup_steps=2)
    model = method.prepare(model, setup.context)
    vectors = attention_vectors(model)
    total = sum(vector.weight_shape.numel() for vector in vectors.values())
    assert sum(int(vector.partition.mask.sum()) for vector in vectors.values()) == round(0.25 * total)
    assert all((layer.partition is None) == (of == "attentions") for layer in dynamic_layers(model).values())
    curves = method.fit(model, setup.data, setup.context)
    assert len(curves["dynamic share by attention"]) == len(vectors)
    assert any(factor != 1 for _, factor in curves["factor of the dynamic part by attention"])
    assert ("dynamic share by layer" in curves) == (of == "both")
    before = setup.context.outputs(model.eval(), setup.context.batches()[0])
    full = stored_bytes(model)
    deployed = method.deploy(model)
    after = setup.context.outputs(deployed, setup.context.batches()[0])
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert stored_bytes(deployed) < full and all(vector.compact is not None for vector in vectors.values())


@pytest.mark.parametrize("options", [{"ratio": 0.0}, {"ratio": 1.0}, {"ratio": 0.5, "scale": "none"}])
@pytest.mark.parametrize("kernels", [1, 2])
def test_attentions_train_what_they_use(options, kernels):
    setup = images(tiny_cnn.load)
    method = PadNet(criterion="random", warmup_steps=0, compact=False, of="attentions", **options)
    model = method.prepare(dynamic(setup, kind="od_conv", kernels=kernels), setup.context)
    method.loss(model, setup.context.batches()[0], setup.context).backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name


def test_attentions_where_there_are_none_are_refused_with_what_there_is():
    setup = images(tiny_cnn.load)
    model = dynamic(setup)
    with pytest.raises(NotApplicable, match="no attentions of ODConv, only DyConv2d: put dynamic_conv of the kind"):
        PadNet(of="attentions").prepare(model, setup.context)
    check_attentions(dynamic(images(tiny_cnn.load), kind="od_conv"))
    cnn = Backbone.of("cnn", "features", "parameters", "blocks", "convolutions")
    attentions = PadNet(of="attentions")
    assert "no ODConv attentions" in str(reason_against([DynamicConv(), attentions], Blobs, cnn))
    assert reason_against([DynamicConv(kind="od_conv"), attentions], Blobs, cnn) is None
    assert attentions.needs == {DYNAMIC, ODCONV_ATTENTIONS, CALIBRATION_DATA}


@pytest.mark.parametrize("options", [{"ratio": 0.0}, {"ratio": 1.0}, {"scale": "pruned"}, {"scale": "none"}])
def test_ends_and_controls_train_what_they_use(options):
    setup = images(tiny_cnn.load)
    method = PadNet(criterion="random", warmup_steps=0, compact=False, granularity="row", **options)
    model = method.prepare(dynamic(setup), setup.context)
    method.loss(model, setup.context.batches()[0], setup.context).backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name
    assert method.deploy(model) is model and all(layer.compact is None for layer in dynamic_layers(model).values())


def test_copies_of_a_network_are_warmed_up_first():
    setup = images(tiny_cnn.load)
    model = PadNet().prepare(dynamic(setup, noise=0.0), setup.context)
    assert any(layer.partition.ratio not in (0, 1) for layer in dynamic_layers(model).values())


def test_what_is_missing_is_said():
    setup = images(tiny_cnn.load)
    with pytest.raises(NotApplicable, match="put dynamic_conv or dynamic_linear before"):
        PadNet().prepare(setup.model, setup.context)
    cnn = Backbone.of("cnn", "features", "parameters", "blocks", "convolutions")
    vit = Backbone.of("vit", "features", "parameters", "blocks", "attention", "ffn", "image tokens")
    assert "dynamic layers" in str(reason_against([PadNet()], Blobs, cnn))
    assert "no dynamic layers that mix kernels" in str(reason_against([FDConv(), PadNet()], Blobs, cnn))
    assert reason_against([DynamicConv(), PadNet()], Blobs, cnn) is None
    assert "no convolutions" in str(reason_against([DynamicConv(), PadNet()], Blobs, vit))
    with pytest.raises(NotApplicable, match="convolution"):
        dynamic(images())
    assert PadNet(criterion="random", warmup_steps=0).needs == {DYNAMIC}
    assert PadNet(criterion="random").needs == {DYNAMIC, CALIBRATION_DATA}


def test_the_rounds_of_the_released_code_reach_the_partition():
    """Drawn anew in each round, in which all compete again: other masks than those of nested rounds."""
    found = {}
    for faithful in (False, True):
        setup = images(tiny_cnn.load)
        method = PadNet(ratio=0.25, criterion="random", warmup_steps=0, rounds=3, faithful=faithful)
        layers = dynamic_layers(method.transform(dynamic(setup), setup.context)).values()
        found[faithful] = torch.cat([layer.partition.mask.flatten() for layer in layers])
    total = found[True].numel()
    assert int(found[True].sum()) == total - int((1 - 0.25) * total)
    assert not torch.equal(found[True], found[False])


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (PadNet, {"ratio": 1.5}, "ratio=1.5"),
        (PadNet, {"rounds": 0}, "rounds must be 1"),
        (PadNet, {"temperature": 0.5}, "temperature must be 1"),
        (PadNet, {"of": "both", "static": "random"}, "there is none of attentions"),
        (PadNet, {"faithful": True, "criterion": "remove"}, "criterion='remove' is not one of switch"),
        (PadNet, {"faithful": True, "granularity": "row"}, "granularity='row' is not one of weight"),
        (DynamicConv, {"kernels": 0}, "num_kernels=0"),
        (DynamicConv, {"annealing": 2.0}, "annealing=2.0"),
    ],
)
def test_options_that_cannot_be_are_refused(kind, options, words):
    with pytest.raises(ValueError, match=words):
        kind(**options)


def test_the_temperature_follows_from_the_step():
    model = dynamic(images(tiny_cnn.load))
    state = TrainingState(models={"model": model}, optimizers={}, data=None, total=100)
    annealing = Annealing(30.0, 0.1)
    for step, expected in ((0, 30.0), (5, 15.5), (10, 1.0), (90, 1.0)):
        state.step = step
        annealing.on_start(state)
        found = {m.temperature.item() for m in model.modules() if isinstance(m, HasTemperature)}
        assert found == {expected}
    state.total, state.step = None, 0
    annealing.on_step(state)
    assert {m.temperature.item() for m in model.modules() if isinstance(m, HasTemperature)} == {1.0}


def test_scores_are_taken_in_float32_and_the_precision_comes_back():
    model = torch.nn.Linear(2, 2).bfloat16()
    with in_float32(model):
        assert model.weight.dtype is torch.float32
    assert model.weight.dtype is torch.bfloat16
