"""A balance loss that trains along with any loss that is made of what a model puts out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ...anatomy import unwrapped
from ...errors import ModelError
from ..routing.attached_loss import attach_balance
from ..routing.config import RoutingConfig
from ..routing.global_sums import ALL, balance_together, together_of
from ..routing.statistics import Routed, aux_loss
from .stock_balance import StockBalance


class BalanceLossHandle:
    """What `add_balance_loss` gives: `remove()` takes the loss away and leaves the model as it was.

    `value()`: the loss of the last forward pass in training, coefficient included, a scalar without gradient; None
    before it. Of the tokens of this process, and of those of all processes once the backward pass has been made.
    """

    def __init__(self, value: Callable[[], Tensor | None], remove: Callable[[], None]) -> None:
        self.value = value
        self.remove = remove


def add_balance_loss(model: Any, coefficient: float | None = None, group: Any = None) -> BalanceLossHandle:
    """Let each backward pass through `model` in training bring the gradient of its balance loss, coefficient included.

    Whatever the loss is made of, it needs no place in it: the loss that the model returns (which stays the one of the
    task, without the balance loss), a loss of one's own on the logits, label smoothing, DPO. A forward pass sends no
    message to other processes and may be made by one alone; a backward pass sends one for each mixture (a stock model:
    one for all), so that all processes must go backward as often, with or without labels.

    - A converted model: the loss of its configuration, which `aux_loss(model)` now gives as a value without gradient;
      with `balance="bias"` that is 0 or a z-loss, and `update_biases(model)` has to follow each step of the optimizer.
    - A stock mixture of transformers that has a balance loss of its own (Mixtral, OLMoE, Qwen-MoE, ...): that loss, of
      the real tokens of all processes (`StockBalance`), times `coefficient`, by default the model's
      `router_aux_loss_coef`. It takes the place of what the model adds with `output_router_logits`.

    It counts `models.loss_scale.set_loss_scale` in each backward pass, 1 at first: say 1 / n where the gradients of n
    micro-batches are added up. Reentrant checkpointing works; so do models that PEFT, DDP or `torch.compile` have
    wrapped. `group`: the processes whose tokens count together, see `balance_together`.

    Raises `ModelError` for a model without a balance loss, a `coefficient` of a converted model, and another `group`.

    Example::

        handle = add_balance_loss(model)
        my_loss(model(ids).logits).backward()
        handle.value()
    """
    inner = unwrapped(model)
    if _balances(inner):
        if coefficient is not None:
            raise ModelError(
                f"coefficient={coefficient} is for stock mixtures: that of a converted model is balance_coef of its "
                "MoEConfig"
            )
        if group is not None:
            balance_together(inner, group)
        return BalanceLossHandle(lambda: aux_loss(inner).detach(), attach_balance(inner))
    config: Any = getattr(inner, "config", None)
    if not hasattr(config, "router_aux_loss_coef") or not hasattr(config, "output_router_logits"):
        raise ModelError(
            f"{type(inner).__name__} has no balance loss to add: convert with balance='cv2', 'switch' or 'bias', or "
            "take a stock mixture with router_aux_loss_coef (Mixtral, OLMoE, Qwen-MoE)"
        )
    chosen = config.router_aux_loss_coef
    if coefficient is not None:
        chosen = coefficient
    stock = StockBalance(inner, chosen, ALL if group is None else together_of(group))
    return BalanceLossHandle(stock.value, stock.remove)


def _balances(model: nn.Module) -> bool:
    """Whether a layer of ours has anything to balance."""
    for module in model.modules():
        config = getattr(module, "config", None)
        if not isinstance(module, Routed) or not isinstance(config, RoutingConfig):
            continue
        if config.has_loss or config.balance == "bias":
            return True
    return False
