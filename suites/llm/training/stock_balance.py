"""The balance loss of a stock mixture of transformers in training, of the real tokens of a batch, packed or not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sparsebench.models.moe.hf_trainer.stock_balance import StockBalance


@contextmanager
def stock_balance_loss(model: Any) -> Iterator[Callable[[], Tensor]]:
    """Attach the balance loss to one forward pass; its value, coefficient included, is then to be had.

    The model's own `router_aux_loss_coef` counts; 0 for any other model, and in evaluation. The value has no gradient:
    that comes by itself with the backward pass, scaled as the training loop says (`models.loss_scale.set_loss_scale`).

        with stock_balance_loss(model) as balance:
            loss = language_loss(model, batch)
        loss = loss + balance()
    """
    coefficient = getattr(model, "router_aux_loss_coef", 0.0)
    watch = StockBalance(model, coefficient) if coefficient and model.training else None
    try:
        yield lambda: _value(watch)
    finally:
        if watch is not None:
            watch.remove()


def _value(watch: StockBalance | None) -> Tensor:
    found = None if watch is None else watch.value()
    return torch.zeros(()) if found is None else found
