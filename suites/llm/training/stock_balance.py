"""The balance loss of a stock mixture of transformers in training, of the real tokens of a batch, packed or not."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.moe.hf_trainer.stock_balance import StockBalance

from .isolation import token_mask


@contextmanager
def stock_balance_loss(model: nn.Module, batch: Mapping[str, Any]) -> Iterator[Callable[[], Tensor]]:
    """Watch the routers in one forward pass; the balance loss of that pass, coefficient included, is then to be had.

    The model's own `router_aux_loss_coef` counts; 0 for any other model, and in evaluation.

        with stock_balance_loss(model, batch) as balance:
            loss = language_loss(model, batch)
        loss = loss + balance()
    """
    coefficient = getattr(model, "router_aux_loss_coef", 0.0)
    if not coefficient or not model.training:
        yield lambda: torch.zeros((), device=batch["input_ids"].device)
        return
    watch = StockBalance(model, coefficient)
    try:
        yield lambda: watch(model, {"attention_mask": token_mask(batch), "labels": batch["labels"]})
    finally:
        watch.remove()
