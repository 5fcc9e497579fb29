"""Healing: training of what pruning left, with every pruned weight kept at zero"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves
from sparsebench.suites.contracts.traits import BLOCKS, TRAINING_DATA
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group

from ._toys import Trained, block_weights
from ._watch import Watch


class KeepZeros(Callback):
    """Puts the weights that were zero back to zero after each step of the optimizer."""

    def __init__(self, weights: list[nn.Parameter]) -> None:
        self.pairs: list[tuple[nn.Parameter, Tensor]] = [(weight, weight.detach() != 0) for weight in weights]

    @torch.no_grad()
    def on_step(self, state: TrainingState) -> None:
        """Apply the masks."""
        for weight, mask in self.pairs:
            weight.mul_(mask)


@dataclass(frozen=True, kw_only=True)
class ToyHeal(Trained):
    """The training loop on everything but the zeros of the blocks' linear layers."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and blocks."""
        return frozenset({TRAINING_DATA, BLOCKS})

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Train with the masks of the moment."""
        group = Group.adamw("model", model, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        callbacks = [KeepZeros(list(block_weights(model))), Watch("toy_heal")]
        return self.train_groups(model, data, context.loss, [group], context, callbacks=callbacks).curves
