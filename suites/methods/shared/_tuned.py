"""Base of the methods that transform a model and then train a part of it: what trains is one option, `train`.

On a task without training data the model stays as it was transformed, whatever `train` says.
"""

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.health import layer_places, router_health
from sparsebench.models.moe.routing.probe import has_mixture
from sparsebench.reports.routers.health import LayerNumbers, layer_name
from sparsebench.reports.routers.layer_curves import to_curves

from ...contracts.context import Context
from ...contracts.method import Curves
from ...prediction.data import PredictionData
from ...prediction.feature_extractor import LinearHeadModel
from ...training.callbacks import Callback
from ...training.method import TrainedMethod
from ...training.random_state import undisturbed
from ...training.router_watch import RouterWatch
from ...training.trainable import Trains, train_only
from ..baselines.linear_probe import LinearProbe


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
            curves = LinearProbe().fit(cast(LinearHeadModel, model), cast(PredictionData, data), context)
        elif context.trains and self.train != "none":
            curves = super().fit(model, data, context)
        return {**curves, **health_curves(model, context)}


def health_curves(model: nn.Module, context: Context) -> Curves:
    """Worst expert, dead experts, entropy and CV^2 of the load by layer, on the calibration data.

    None for language models that predict the next token, since their tasks say it of the text that they score; for a
    model without a mixture; without calibration data. What cannot be watched is a warning, which the record keeps.
    """
    if context.target.kind == "next-token" or not has_mixture(model):
        return {}
    batches = context.calibration()
    if not batches:
        return {}
    try:
        with undisturbed():
            seen = router_health(model, {"calibration": batches})["calibration"]
    except ModelError as error:
        warnings.warn(f"no health of the routers: {error}", stacklevel=2)
        return {}
    places = layer_places(model)
    layers: dict[str, LayerNumbers] = {}
    for path, one in seen.items():
        numbers = LayerNumbers(one.worst, one.dead, one.entropy, one.token_entropy, one.cv2)
        layers[layer_name(*places[path])] = numbers
    return to_curves(layers, [len(one.load) for one in seen.values()])
