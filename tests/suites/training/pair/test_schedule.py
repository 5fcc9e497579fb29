"""The learning rate of one group moves by a schedule of its own, and goes on with it after a stop."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.optimizer import warmup_cosine
from sparsebench.suites.training.pair.schedule import OwnSchedule
from sparsebench.suites.training.settings import TrainSettings

from ..toy import Numbers, StopAt, StoppedError, linear, squared_error

SETTINGS = TrainSettings(steps=10, batch_size=4, warmup=0.2, save_every=1, save_seconds=None)


class Rates(Callback):
    """The rates that each step was taken with."""

    def __init__(self) -> None:
        self.seen: dict[str, list[float]] = {}

    def on_start(self, state: TrainingState) -> None:
        for name, optimizer in state.optimizers.items():
            rates = self.seen.setdefault(name, [])

            def note(optimizer: Any, arguments: Any, keywords: Any, rates: list[float] = rates) -> None:
                rates.append(optimizer.param_groups[0]["lr"])

            optimizer.register_step_post_hook(note)


def run(rates: Rates, own: OwnSchedule, folder: Path | None = None, stop: int = 0) -> None:
    models = {"student": linear(), "teacher": linear()}

    def loss(models: dict[str, nn.Module], batch: Any) -> Any:
        return squared_error(models["student"], batch) + squared_error(models["teacher"], batch)

    groups = [Group.adamw(name, model, learning_rate=0.1, weight_decay=0.0) for name, model in models.items()]
    callbacks = [rates, own, StopAt(stop)]
    train(models, Numbers(), loss, groups=groups, settings=SETTINGS, callbacks=callbacks, folder=folder)


def test_one_group_has_its_own_warm_up_and_the_other_that_of_the_settings(tmp_path: Path) -> None:
    rates = Rates()
    run(rates, OwnSchedule("teacher", SETTINGS, warmup=0.5))
    assert rates.seen["student"] == pytest.approx([0.1 * warmup_cosine(step, 10, 0.2) for step in range(10)])
    assert rates.seen["teacher"] == pytest.approx([0.1 * warmup_cosine(step, 10, 0.5) for step in range(10)])
    stopped, resumed = Rates(), Rates()
    with pytest.raises(StoppedError):
        run(stopped, OwnSchedule("teacher", SETTINGS, warmup=0.5), tmp_path, stop=4)
    run(resumed, OwnSchedule("teacher", SETTINGS, warmup=0.5), tmp_path)
    assert stopped.seen["teacher"][:3] + resumed.seen["teacher"] == rates.seen["teacher"]


def test_a_group_that_is_not_there_and_a_share_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no group is named 'techer'"):
        run(Rates(), OwnSchedule("techer", SETTINGS, warmup=0.5))
    with pytest.raises(ValueError, match="warmup=2"):
        OwnSchedule("teacher", SETTINGS, warmup=2)
