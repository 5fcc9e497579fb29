"""Tuning: train a part of the model as it is, such as the router after a conversion

The last link of a chain, as in `[expert_drop, quantize, {name: tune, config: {train: router}}]`: what trains is chosen
apart from the transforms before it. Alone on a backbone, `train: all` is full tuning.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.method import Later
from ...contracts.traits import ADAPTERS, BLOCKS, EXPERTS, PARAMETERS, TRAINING_DATA
from ...training.callbacks import Callback
from ...training.kept_zeros import KeptZeros
from ...training.trainable import Trains
from ._balance_bias import BalanceBias
from ._tuned import TunedMethod

NEEDS = {"router": EXPERTS, "experts": EXPERTS, "adapters": ADAPTERS, "norms": BLOCKS}


@dataclass(frozen=True, kw_only=True)
class Tune(TunedMethod):
    """Nothing is transformed; a mixture trains with the balance loss of its routers."""

    train: Trains = "all"
    """What trains."""
    keep_zeros: Later[bool] = False
    """Weights that are 0 before training stay 0: after a link that prunes."""

    @property
    def needs(self) -> frozenset[str]:
        """Training data, and the part that trains."""
        return frozenset({TRAINING_DATA, PARAMETERS, NEEDS.get(self.train, PARAMETERS)})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The model itself."""
        return backbone

    def loss(self, model: nn.Module, batch: object, context: Context) -> Tensor:
        """The task's loss and the balance loss of routers, if there are any."""
        return context.loss(model, batch) + aux_loss(model)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Routers that balance by a bias move it; zeros stay where they shall."""
        found = (*super().callbacks(context), BalanceBias())
        if self.keep_zeros:
            return (*found, KeptZeros())
        return found
