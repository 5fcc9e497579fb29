"""How a model is called with a calibration batch, and what the batch says of padding."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def call_model(model: nn.Module, batch: Any) -> Any:
    """`model(**batch)` for a mapping, without labels that the model does not take; else `model(batch)`."""
    if not isinstance(batch, Mapping):
        return model(batch)
    inputs = dict(batch)
    if "labels" not in inspect.signature(model.forward).parameters:
        inputs.pop("labels", None)
    return model(**inputs)


def batch_mask(batch: Any) -> Tensor | None:
    """The `attention_mask` of a batch; None where it has none."""
    if isinstance(batch, Mapping):
        return batch.get("attention_mask")
    return getattr(batch, "attention_mask", None)
