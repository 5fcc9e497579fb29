"""A balance loss inside the loss that a model returns in training: for any loop that calls `model(**batch).loss`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ..routing.config import RoutingConfig
from ..routing.statistics import Routed, aux_loss
from .label_tokens import share_of_step
from .stock_balance import StockBalance

Balance = Callable[[Any, Mapping[str, Any]], Tensor]
"""The balance loss of the forward pass that a model has just made with these arguments, coefficient included."""


class BalanceLossHandle:
    """What `add_balance_loss` gives: `remove()` takes the loss away and leaves the model as it was."""

    def __init__(self, model: nn.Module, balance: Balance, undo: Callable[[], None]) -> None:
        self._balance = balance
        self._undo = undo
        self._hook = model.register_forward_hook(self._add, with_kwargs=True)

    def remove(self) -> None:
        """As if it had never been added."""
        self._hook.remove()
        self._undo()

    def _add(self, model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
        if not model.training or not torch.is_grad_enabled():
            return None
        loss = output.get("loss") if isinstance(output, dict) else None
        if loss is None:
            raise ModelError(
                f"{type(model).__name__} returned no loss in training, so that the balance loss has nothing to be "
                "added to: pass labels and keep return_dict=True; where a loss of your own (compute_loss_func, label "
                "smoothing) takes the labels, add aux_loss(model) there instead"
            )
        output["loss"] = loss + share_of_step(model, kwargs) * self._balance(model, kwargs).to(loss.device)
        return output


def add_balance_loss(model: Any, coefficient: float | None = None) -> BalanceLossHandle:
    """Let `model(**batch)["loss"]` in training hold the balance loss of its routers, coefficient included, once.

    - A converted model: `aux_loss(model)`, as its configuration says; with `balance="bias"` that is 0 or a z-loss, and
      `update_biases(model)` has to follow each step of the optimizer.
    - A stock mixture of transformers that has a balance loss of its own (Mixtral, OLMoE, Qwen-MoE, ...): that loss, of
      the real tokens of all processes (`stock_balance`), times `coefficient`, by default the model's
      `router_aux_loss_coef`. It takes the place of what the model adds with `output_router_logits`.

    Where the call has `num_items_in_batch`, as `Trainer` passes it, the loss of the model is a part of the mean over
    all label tokens of a step, and the balance loss counts by the same part: those of the micro-batches of a step, and
    of the processes, add up to their mean weighted by label tokens. Stock models alone add it whole in each
    micro-batch, so that its weight grows with the accumulation and the number of processes. Without
    `num_items_in_batch` it is added whole, to be divided with the rest of the loss.

    Raises `ModelError` for a model without a balance loss, and, in training, where the model gives no loss to add to.

    Example::

        handle = add_balance_loss(model)
        model(**batch).loss.backward()
    """
    if _balances(model):
        if coefficient is not None:
            raise ModelError(
                f"coefficient={coefficient} is for stock mixtures: that of a converted model is balance_coef of its "
                "MoEConfig"
            )
        return BalanceLossHandle(model, lambda model, kwargs: aux_loss(model), _nothing)
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "router_aux_loss_coef") or not hasattr(config, "output_router_logits"):
        raise ModelError(
            f"{type(model).__name__} has no balance loss to add: convert with balance='cv2', 'switch' or 'bias', or "
            "take a stock mixture with router_aux_loss_coef (Mixtral, OLMoE, Qwen-MoE)"
        )
    chosen = config.router_aux_loss_coef
    if coefficient is not None:
        chosen = coefficient
    stock = StockBalance(model, chosen)
    return BalanceLossHandle(model, stock, stock.remove)


def _balances(model: nn.Module) -> bool:
    """Whether a layer of ours has anything to balance."""
    for module in model.modules():
        config = getattr(module, "config", None)
        if not isinstance(module, Routed) or not isinstance(config, RoutingConfig):
            continue
        if config.has_loss or config.balance == "bias":
            return True
    return False


def _nothing() -> None:
    """There is nothing to undo."""
