"""How a model is called with a calibration batch, and what the batch says of padding."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import ModelError


def batch_list(batches: Iterable[object] | None) -> list[Any]:
    """All batches, as a list.

    Args:
        batches: what a user gave.

    Raises:
        ModelError: there are none, or one batch in the place of several.
    """
    if batches is None:
        raise ModelError("there are no calibration batches (None): pass a list of at least one")
    if isinstance(batches, Mapping | Tensor | str) or not isinstance(batches, Iterable):
        raise ModelError(
            f"batches is a {type(batches).__name__}, which is one batch at most: pass a list, as in [batch]"
        )
    found = list(batches)
    if not found:
        raise ModelError("there are no calibration batches: pass a list of at least one")
    return found


def call_model(model: nn.Module, batch: object) -> Any:
    """`model(**batch)` for a mapping, without labels that the model does not take; else `model(batch)`.

    No cache is made unless the batch asks for one: beside its memory, with one transformers takes sequences that
    `position_ids` pack into a row for a single one.
    """
    if not isinstance(batch, Mapping):
        return model(batch)
    inputs = dict(batch)
    known = inspect.signature(model.forward).parameters
    if "labels" not in known:
        inputs.pop("labels", None)
    if "use_cache" in known:
        inputs.setdefault("use_cache", False)
    return model(**inputs)


def batch_mask(batch: object) -> Tensor | None:
    """The `attention_mask` of a batch; None where it has none."""
    if isinstance(batch, Mapping):
        return batch.get("attention_mask")
    return getattr(batch, "attention_mask", None)
