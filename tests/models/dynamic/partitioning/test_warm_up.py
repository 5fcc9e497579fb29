"""A warm-up moves the dynamic layers alone, and takes modes and flags back, and at its end the weights."""

import copy

import pytest
import torch
from torch import nn

from sparsebench.models.dynamic.partitioning.warm_up import WarmUp, warmed_up
from sparsebench.models.errors import ModelError

from .toy import ToyDynamic, batches, image_batches, loss, od_toy


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 5).double(), nn.Dropout(0.5), ToyDynamic(3, 4, 5, 0))


def test_only_the_dynamic_layers_move_and_not_their_static_part():
    net = model().train()
    net[2].set_partition()
    net[2].bank.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    losses = [sum(loss(net.eval(), batch).item() for batch in batches())]
    net.train()
    with warmed_up(net, [net[2]], batches(), loss, WarmUp(steps=8, learning_rate=0.02)):
        assert net.training and not net[2].bank.requires_grad
        assert all(parameter.grad is None for parameter in net.parameters())
        moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        assert {"2.bank", "2.route.weight", "2.route.bias"} <= moved
        assert not {"0.weight", "0.bias", "2.partition.static", "2.partition.mask", "2.partition.phi"} & moved
        losses.append(sum(loss(net.eval(), batch).item() for batch in batches()))
    assert losses[1] < losses[0]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_constants_and_scales_of_attentions_stay():
    net = od_toy()
    net[0].attention.taps.set_partition(torch.arange(9) < 4)
    before = copy.deepcopy(net.state_dict())
    with warmed_up(net, [net[0], net[2]], image_batches(), loss, WarmUp(steps=2, learning_rate=0.01)):
        moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert "0.attention.taps.fc.weight" in moved and not [name for name in moved if ".partition." in name]


def test_what_cannot_be_is_refused():
    for options in ({"steps": 0}, {"learning_rate": 0.0}):
        with pytest.raises(ModelError, match="steps must be 1 or more"):
            WarmUp(**options)
    with pytest.raises(ModelError, match="got no batch"), warmed_up(model(), [], [], loss, WarmUp()):
        pass


def test_modes_and_weights_come_back_after_an_error():
    net = model().train()
    before = copy.deepcopy(net.state_dict())

    def stop(net, batch):
        if not torch.equal(net[2].bank, before["2.bank"]):
            raise RuntimeError("stop")
        return loss(net, batch)

    with pytest.raises(RuntimeError, match="stop"), warmed_up(net, [net[2]], batches(), stop, WarmUp()):
        pass
    assert all(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
