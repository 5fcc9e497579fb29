"""Who of several models takes how much of a reading that rises."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.counting import counted_flops, training_flops
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.machine.attribution import Attribution, stopwatch
from sparsebench.suites.training.settings import TrainSettings

from ..toy import Numbers


class Ticks:
    """A clock that moves only where a model or an optimizer says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Ticking(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, ticks: Ticks, forward: float, backward: float) -> Tensor:
        ctx.ticks, ctx.backward_ticks = ticks, backward
        ticks.now += forward
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.ticks.now += ctx.backward_ticks
        return gradients[0], None, None, None


class Slow(nn.Module):
    """A linear layer that takes a known number of ticks forward and backward, in two stages."""

    def __init__(self, ticks: Ticks, forward: float, backward: float) -> None:
        super().__init__()
        self.ticks, self.took = ticks, (forward / 2, backward / 2)
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        between = Ticking.apply(self.layer(inputs), self.ticks, *self.took)
        return Ticking.apply(between.tanh(), self.ticks, *self.took)


class SlowSGD(torch.optim.SGD):
    ticks: Ticks

    def step(self, closure: Any = None) -> None:
        self.ticks.now += 100.0
        super().step(closure)


def joint(models: dict[str, nn.Module], batch: Any) -> Tensor:
    said, heard = models["student"](batch[0]), models["teacher"](batch[0])
    return (said - batch[1]).square().mean() + (heard - batch[1]).square().mean() + (said - heard).square().mean()


BATCH = torch.ones(4, 1), torch.zeros(4, 1)


@pytest.mark.parametrize("first", ["student", "teacher"])
def test_passes_of_a_joint_loss_are_those_of_each_model(first: str) -> None:
    """Whichever runs first; what happens between the passes is nobody's."""
    ticks = Ticks()
    models = {"student": Slow(ticks, 2.0, 4.0), "teacher": Slow(ticks, 16.0, 32.0)}
    order = [first, *(name for name in models if name != first)]
    attribution = Attribution(models, ticks)
    for _ in range(2):
        with attribution.watching():
            ticks.now += 1000.0
            said = {name: models[name](BATCH[0]) for name in order}
            ticks.now += 1000.0
            (said["student"] - said["teacher"]).square().mean().backward()
        ticks.now += 1000.0
    assert attribution.taken == {"student": 12.0, "teacher": 96.0}


def test_a_model_without_a_gradient_has_its_forward_pass() -> None:
    ticks = Ticks()
    models = {"student": Slow(ticks, 2.0, 4.0), "teacher": Slow(ticks, 16.0, 32.0)}
    attribution = Attribution(models, ticks)
    with attribution.watching():
        with torch.no_grad():
            heard = models["teacher"](BATCH[0])
        (models["student"](BATCH[0]) - heard).square().mean().backward()
    assert attribution.taken == {"student": 6.0, "teacher": 16.0}


def test_no_hook_stays_behind() -> None:
    ticks = Ticks()
    models = {"student": Slow(ticks, 2.0, 4.0)}
    optimizer = torch.optim.SGD(models["student"].parameters(), lr=0.1)
    attribution = Attribution(models, ticks, {"student": [optimizer]})
    with pytest.raises(ValueError, match="stop"), attribution.watching():
        raise ValueError("stop")
    models["student"](BATCH[0]).sum().backward()
    optimizer.step()
    assert attribution.taken == {"student": 0.0}
    assert not models["student"]._forward_hooks and not models["student"]._forward_pre_hooks


PACKS = {
    "tuple": (lambda x: (x, 1), lambda result: result[0]),
    "mapping": (lambda x: {"logits": x}, lambda result: result["logits"]),
    "object": (lambda x: SimpleNamespace(logits=x), lambda result: result.logits),
}


@pytest.mark.parametrize("kind", PACKS)
def test_models_may_return_more_than_a_tensor(kind: str) -> None:
    pack, unpack = PACKS[kind]

    class Packed(Slow):
        def forward(self, inputs: Tensor) -> Any:
            return pack(super().forward(inputs))

    ticks = Ticks()
    model = Packed(ticks, 2.0, 4.0)
    attribution = Attribution({"only": model}, ticks)
    with attribution.watching():
        unpack(model(BATCH[0])).sum().backward()
    assert attribution.taken == {"only": 6.0}


def test_operations_are_those_of_each_model_alone() -> None:
    models: dict[str, nn.Module] = {
        "student": nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)),
        "teacher": nn.Sequential(nn.Linear(5, 2), nn.Tanh(), nn.Linear(2, 3)),
    }
    rows = torch.ones(4, 5)
    with counted_flops() as reading:
        attribution = Attribution(models, reading)
        with attribution.watching():
            (models["student"](rows) - models["teacher"](rows)).square().mean().backward()
    alone = {name: training_flops(lambda model=model: model(rows).sum()) for name, model in models.items()}
    assert attribution.taken == alone
    assert sum(alone.values()) == reading() and alone["student"] > alone["teacher"] > 0


def test_a_training_says_it_of_several_models() -> None:
    """Optimizers, too; with one model there is nothing to split."""
    ticks = Ticks()
    models: dict[str, nn.Module] = {"student": Slow(ticks, 2.0, 4.0), "teacher": Slow(ticks, 16.0, 32.0)}
    groups = [Group.adamw(name, model, learning_rate=0.1, weight_decay=0.0) for name, model in models.items()]
    settings = TrainSettings(steps=5, batch_size=4)
    result = train(models, Numbers(), joint, groups=groups, settings=settings)
    assert result.model_flops.keys() == result.model_seconds.keys() == models.keys()
    assert all(seconds > 0 for seconds in result.model_seconds.values())
    assert sum(result.model_seconds.values()) <= result.seconds
    assert sum(result.model_flops.values()) == result.flops > 0
    single = train(
        models["student"],
        Numbers(),
        lambda model, batch: model(batch[0]).square().mean(),
        groups=groups[:1],
        settings=settings,
    )
    assert not single.model_flops and not single.model_seconds


def test_the_stopwatch_knows_whose_optimizers_are_whose() -> None:
    """By the parameters, whatever the groups are called; two optimizers of one model add up."""
    ticks = Ticks()
    models: dict[str, nn.Module] = {"student": Slow(ticks, 2.0, 4.0), "teacher": Slow(ticks, 16.0, 32.0)}
    layer = models["teacher"].layer
    assert isinstance(layer, nn.Linear)
    SlowSGD.ticks = ticks
    members = {"a": [layer.weight], "b": [layer.bias], "c": list(models["student"].parameters())}
    groups = [Group(name=n, parameters=p, learning_rate=0.1, optimizer=SlowSGD) for n, p in members.items()]
    optimizers = [group.build() for group in groups]
    watch = stopwatch(models, groups, optimizers, torch.device("cpu"))
    watch.reading = ticks
    with watch.watching():
        joint(models, BATCH).backward()
        for optimizer in optimizers:
            optimizer.step()
    assert watch.taken == {"student": 106.0, "teacher": 248.0}


def test_seconds_before_a_stop_count(tmp_path: Any) -> None:
    def training(steps: int) -> Any:
        torch.manual_seed(0)
        models: dict[str, nn.Module] = {"student": nn.Linear(1, 1), "teacher": nn.Linear(1, 1)}
        groups = [Group.adamw(name, model, learning_rate=0.1, weight_decay=0.0) for name, model in models.items()]
        settings = TrainSettings(steps=steps, batch_size=4)
        return train(models, Numbers(), joint, groups=groups, settings=settings, folder=tmp_path)

    first = training(3)
    again = training(3)
    assert again.model_seconds == first.model_seconds and again.model_flops == first.model_flops
