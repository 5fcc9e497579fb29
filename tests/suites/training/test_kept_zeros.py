"""Zeros that stay, also in what an evaluation sees, while everything else trains as without them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.training.callbacks import Callback
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.kept_zeros import KeptZeros
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.settings import TrainSettings

from .toy import Numbers, StopAt, StoppedError, squared_error


class Net(nn.Module):
    """1 -> 6 -> 1, half of the first matrix pruned; the last one starts as 0 and is no pruned matrix."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(1, 6)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.last = nn.Linear(6, 1)
        with torch.no_grad():
            self.first.weight[:3] = 0
            self.frozen.weight[0] = 0
            self.last.weight.zero_()
            self.first.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.frozen(self.first(x)))


def trained(*callbacks: Callback, folder: Path | None = None, seen: list[Tensor] | None = None) -> Net:
    net = Net()

    def evaluate(models: Any) -> dict[str, float]:
        if seen is not None:
            seen.append(net.first.weight.detach().clone())
        return {"score": 0.0}

    train(
        net,
        Numbers(),
        squared_error,
        groups=[Group.adamw("model", net, learning_rate=0.05, weight_decay=0.1)],
        settings=TrainSettings(epochs=3, batch_size=4, eval_every=1, save_every=1),
        callbacks=callbacks,
        evaluate=evaluate,
        folder=folder,
    )
    return net


def test_zeros_stay_and_the_rest_trains() -> None:
    seen: list[Tensor] = []
    kept, free = trained(KeptZeros(), seen=seen), trained()
    assert not kept.first.weight[:3].any() and free.first.weight[:3].all()
    assert seen and all(not weight[:3].any() for weight in seen)
    for name, first in Net().named_parameters():
        now = kept.get_parameter(name)
        if name.startswith("frozen"):
            assert torch.equal(now, first)
        elif name == "first.weight":
            assert (now[3:] != first[3:]).all()
        else:
            assert (now != 0).all(), "biases, and a matrix that is 0 as a whole, train freely"


def test_optimizers_are_let_go_at_the_end() -> None:
    watch = KeptZeros()
    net = trained(watch)
    assert watch.hooks == []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert net.first.weight[:3].all()


def test_a_training_that_goes_on_knows_them_again(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        trained(KeptZeros(), StopAt(4), folder=tmp_path)
    gone_on = trained(KeptZeros(), folder=tmp_path)
    whole = trained(KeptZeros())
    assert not gone_on.first.weight[:3].any()
    for one, other in zip(gone_on.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_zeros_nothing_changes() -> None:
    nets = []
    for callbacks in ((KeptZeros(),), ()):
        net = Net()
        with torch.no_grad():
            net.first.weight.fill_(0.3)
        train(
            net,
            Numbers(),
            squared_error,
            groups=[Group.adamw("model", net, learning_rate=0.05, weight_decay=0.0)],
            settings=TrainSettings(epochs=1, batch_size=4),
            callbacks=callbacks,
        )
        nets.append(net)
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, other)
