"""What trains after a conversion: only the head of a prediction task, and nothing in a model that generates."""

from typing import Any, cast

from torch import nn

from sparsebench.models.anatomy import describe

from ..contracts.context import Context
from ..contracts.method import Curves
from ..prediction.data import PredictionData
from ..prediction.feature_extractor import LinearHeadModel
from .linear_probe import LinearProbe


def only_head_trains(model: nn.Module, context: Context) -> nn.Module:
    """The model, frozen but for its head in a prediction task; a language model as it is."""
    if not context.target.generates:
        model.requires_grad_(False)
        heads = describe(model).heads
        assert heads, "a predictor has a head"
        for head in heads:
            head.get().requires_grad_(True)
    return model


def fit_head(model: nn.Module, data: Any, context: Context) -> Curves:
    """Solve the head of a prediction task as `linear_probe` does; a language model stays as it is."""
    if context.target.generates:
        return {}
    return LinearProbe().fit(cast(LinearHeadModel, model), cast(PredictionData, data), context)
