"""Base of the methods that transform a model and then train a part of it: what trains is one option, `train`.

On a task without training data the model stays as it was transformed, whatever `train` says.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import nn

from ...contracts.context import Context
from ...contracts.method import Curves
from ...training.callbacks import Callback
from ...training.method import TrainedMethod
from ...training.router_watch import RouterWatch
from ...training.trainable import Trains, train_only
from ..baselines.linear_probe import LinearProbe
from ._router_health import note_health


@dataclass(frozen=True, kw_only=True)
class TunedMethod(TrainedMethod):
    """A transform, after which `train` trains: a new head alone by a convex fit, the rest by the training loop."""

    train: Trains = "head"
    """What trains on a task that trains (`training/trainable.py`): a new head alone, as `linear_probe` does, or more;
    "none" leaves the model as it was transformed."""

    @property
    def trains(self) -> str | None:
        """The option."""
        return self.train

    @abstractmethod
    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Turn the backbone, in place or not, into the model that is to be trained or measured."""

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Curves of the routers, where the model has some."""
        return (RouterWatch(),)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The transformed model; where the task trains, with a gradient for what `train` names."""
        model = self.transform(backbone, context)
        if not context.trains:
            return model
        return train_only(model, self.train, context)

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Train what `train` names, on a task that trains; look at the routers, if there are any."""
        curves: Curves = {}
        if context.trains and self.train == "head":
            curves = LinearProbe().fit(model, data, context)
        elif context.trains and self.train != "none":
            curves = super().fit(model, data, context)
        note_health(model, context)
        return curves
