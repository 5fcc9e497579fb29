"""A learning rate schedule of one group alone: a teacher's, beside that of the settings for all others."""

from dataclasses import replace
from typing import Any

from ..callbacks import Callback, TrainingState
from ..optimizer import rate_factor
from ..settings import TrainSettings


class OwnSchedule(Callback):
    """Moves the learning rate of the group `name` as the settings would with these values in them.

        OwnSchedule("teacher", settings, warmup=0.3)

    The rate is set right before each step of that group's optimizer, so that it holds after a stop, too. The end of the
    training is that of the settings. Raises ValueError for values that cannot be, and, at the start, for an unknown
    group.
    """

    def __init__(self, name: str, settings: TrainSettings, **own: Any) -> None:
        self.name = name
        self.settings = replace(settings, **own)
        self.handle: Any = None

    def on_start(self, state: TrainingState) -> None:
        """Look for the optimizer. Raises ValueError where no group has this name."""
        optimizer = state.optimizers.get(self.name)
        if optimizer is None:
            raise ValueError(f"no group is named {self.name!r}: there are {', '.join(state.optimizers)}")

        def before(optimizer: Any, arguments: Any, keywords: Any) -> None:
            factor = self._factor(state)
            for part in optimizer.param_groups:
                part["lr"] = part["peak_lr"] * factor

        self.handle = optimizer.register_step_pre_hook(before)

    def on_end(self, state: TrainingState) -> None:
        """Let the optimizer go."""
        self.handle.remove()

    def _factor(self, state: TrainingState) -> float:
        if self.settings.tokens is None:
            return rate_factor(self.settings, state.step, state.total)
        return rate_factor(self.settings, state.tokens, self.settings.tokens)
