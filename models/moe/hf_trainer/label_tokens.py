"""How much of a step of `Trainer` one micro-batch is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

IGNORED = -100
"""Label of a position without loss."""


def share_of_step(model: Any, kwargs: Mapping[str, Any]) -> Tensor | float:
    """Label tokens of this call over those of the whole step, which `Trainer` passes as `num_items_in_batch`.

    1.0 where the call does not say: its loss is a mean of its own. Counted as `Trainer` counts them: a causal language
    model shifts its labels, so that the first of a row has no loss.
    """
    total = kwargs.get("num_items_in_batch")
    if total is None:
        return 1.0
    labels = kwargs.get("shift_labels")
    if labels is None:
        labels = kwargs["labels"]
        if _shifts(model):
            labels = labels[..., 1:]
    return labels.ne(IGNORED).sum() / total


def _shifts(model: Any) -> bool:
    from transformers.loss.loss_utils import LOSS_MAPPING, ForCausalLMLoss

    kind = getattr(model, "loss_type", None)
    causal = kind is not None and LOSS_MAPPING.get(kind) is ForCausalLMLoss
    return causal and not getattr(model.config, "is_encoder_decoder", False)
