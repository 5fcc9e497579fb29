"""Routers that a bias balances in the training loop: after each step, and as its checkpoints have it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe import MoEFFN
from sparsebench.suites.methods.shared._balance_bias import BalanceBias
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.settings import TrainSettings

from ...training.balanced import BALANCES, WIDTH, mixture
from ...training.toy import StopAt, StoppedError


class Rows:
    """Map-style: 32 inputs."""

    lengths = None

    def __init__(self) -> None:
        draws = torch.Generator().manual_seed(1)
        self.train = list(torch.randn(32, WIDTH, generator=draws, dtype=torch.float64))

    def collate(self, examples: list[Tensor]) -> Tensor:
        return torch.stack(examples)


class Watch(Callback):
    """The bias after each step."""

    def __init__(self, model: MoEFFN) -> None:
        self.model = model
        self.values: list[list[float]] = []

    def on_step(self, state: TrainingState) -> None:
        assert self.model.router.choice_bias is not None
        self.values.append(self.model.router.choice_bias.value.tolist())


def run(model: MoEFFN, steps: int, folder: Path | None = None, *further: Callback) -> None:
    train(
        model,
        Rows(),
        lambda model, batch: model(batch).square().mean(),
        groups=[Group(name="model", parameters=list(model.parameters()), learning_rate=0.1, optimizer=torch.optim.SGD)],
        settings=TrainSettings(steps=steps, batch_size=4, accumulation=2, save_every=1, save_seconds=None),
        callbacks=[BalanceBias(), *further],
        folder=folder,
    )


def test_a_step_moves_by_what_all_its_batches_chose() -> None:
    model = mixture(**BALANCES["bias"])
    chosen: list[Tensor] = []
    model.router.register_forward_hook(lambda module, args, routing: chosen.append(routing.index.flatten()))
    watch = Watch(model)
    run(model, 3, None, watch)
    value = torch.zeros(4)
    for step in range(3):
        load = torch.bincount(torch.cat(chosen[2 * step : 2 * step + 2]), minlength=4)
        assert load.sum() == 16
        value += 0.25 * (4 - load).sign()
        assert watch.values[step] == value.tolist()
    assert value.any()


def test_a_training_counts_its_own_choices_only() -> None:
    """The end of a training runs a batch once more to count its operations, which is no step."""
    model = mixture(**BALANCES["bias"])
    run(model, 2)
    assert model.router.choice_bias is not None and model.router.choice_bias.pending is not None
    before = model.router.choice_bias.value.clone()
    callback = BalanceBias()
    state = TrainingState(models={"model": model}, optimizers={}, data=None, total=1)
    callback.on_start(state)
    callback.on_step(state)
    assert torch.equal(model.router.choice_bias.value, before)


def test_a_training_that_goes_on_has_its_biases(tmp_path: Path) -> None:
    whole = mixture(**BALANCES["bias"])
    values = Watch(whole)
    run(whole, 4, None, values)
    stopped = mixture(**BALANCES["bias"])
    with pytest.raises(StoppedError):
        run(stopped, 4, tmp_path, StopAt(3))  # before the checkpoint of this step
    again = mixture(**BALANCES["bias"])
    seen = Watch(again)
    run(again, 4, tmp_path, seen)
    assert seen.values == values.values[2:] and any(values.values[1])
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_models_without_such_routers_are_left_alone() -> None:
    model = mixture(**BALANCES["cv2"])
    before = model.router.weight.detach().clone()
    run(model, 1)
    assert model.router.choice_bias is None and not torch.equal(model.router.weight, before)
