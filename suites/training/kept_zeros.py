"""Zeros that stay zero in training: for models whose weights were pruned before."""

from typing import Any

import torch
from torch import Tensor, nn

from .callbacks import Callback, TrainingState


class KeptZeros(Callback):
    """Weights that were exactly 0 before the first step are set to 0 again after each step of an optimizer.

    So no evaluation and no checkpoint sees others. Only matrices count (two or more dimensions) that train: biases may
    start as 0. One that is 0 as a whole, such as a factor of an adapter that starts so, trains freely.
    """

    def __init__(self) -> None:
        self.zeros: list[tuple[nn.Parameter, Tensor]] = []
        self.hooks: list[Any] = []

    def on_start(self, state: TrainingState) -> None:
        """Look where the zeros are: in the first weights, also where training goes on after a stop."""
        self.zeros = []
        for model in state.models.values():
            for parameter in model.parameters():
                if parameter.requires_grad and parameter.ndim >= 2:
                    zero = parameter.detach() == 0
                    if zero.any() and not zero.all():
                        self.zeros.append((parameter, zero))
        for optimizer in state.optimizers.values():
            self.hooks.append(optimizer.register_step_post_hook(self._stepped))

    @torch.no_grad()
    def _stepped(self, optimizer: object, args: object, kwargs: object) -> None:
        for parameter, zero in self.zeros:
            parameter.masked_fill_(zero, 0)

    def on_end(self, state: TrainingState) -> None:
        """Let the optimizers go."""
        for hook in self.hooks:
            hook.remove()
        self.hooks = []
