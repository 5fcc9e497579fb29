"""What the toys have in common: all of the model trains, with a checkpoint after every second step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.traits import PARAMETERS, TRAINING_DATA
from sparsebench.suites.training.method import TrainedMethod
from sparsebench.suites.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class Trained(TrainedMethod):
    """The budget is that of the cell."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and something to train."""
        return frozenset({TRAINING_DATA, PARAMETERS})

    @property
    def trains(self) -> str:
        """Everything."""
        return "all"

    def settings(self, context: Context) -> TrainSettings:
        """Those of the budget, with a checkpoint after every second step."""
        return replace(super().settings(context), save_every=2)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone with all its parameters."""
        return backbone.requires_grad_(True)


def block_weights(model: nn.Module) -> Iterator[nn.Parameter]:
    """Of each linear layer in the blocks."""
    for block in describe(model).blocks:
        for site in block.linears:
            yield site.get().weight
