"""The balance loss of transformers' stock mixtures, over the tokens of all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...anatomy import describe
from ...calibration.token_mask import real_tokens
from ...errors import ModelError
from ..routing.global_sums import global_sums
from ..routing.recomputation import recomputing, refuse_reentrant

# Shapes: B rows of a batch, L tokens of a row, T = B * L, N experts, K chosen experts.


def stock_balance(logits: Sequence[Tensor], top_k: int, mask_BL: Tensor | None = None) -> Tensor:
    """N * sum_e f_e P_e, with f_e the picks of expert e per token and P_e its mean probability, both over all layers.

    That is what `load_balancing_loss_func` of transformers computes of one process (Switch Transformers, arXiv
    2101.03961, equations 4 to 6, for k picks). Here f and P are means over the real tokens of all processes, as if one
    process had seen them: a mean of the losses of the processes is something else, since the loss is a product.

    `logits`: router logits (T, N) of each layer. `mask_BL`: not 0 for a real token; None: all are.
    """
    picks_N = logits[0].new_zeros(logits[0].shape[-1], dtype=torch.float32)
    probability_N = torch.zeros_like(picks_N)
    real_T1 = picks_N.new_ones(len(logits[0]), 1)
    if mask_BL is not None:
        real_T1 = (mask_BL != 0).reshape(-1, 1).to(picks_N)
    for layer_TN in logits:
        probability_TN = layer_TN.softmax(-1).float()
        index_TK = probability_TN.topk(top_k, dim=-1).indices
        chosen_TN = torch.zeros_like(probability_TN).scatter(1, index_TK, 1.0)
        picks_N = picks_N + (chosen_TN * real_T1).sum(0)
        probability_N = probability_N + (probability_TN * real_T1).sum(0)
    rows = real_T1.sum() * len(logits)
    picks_N, probability_N, rows = global_sums(picks_N, probability_N, rows)
    rows = rows.clamp_min(1)  # a batch of padding alone has no loss
    return len(picks_N) * (picks_N / rows * (probability_N / rows)).sum()


class StockBalance:
    """Watches the routers of a stock mixture; called after a forward pass, it gives `coefficient * stock_balance`.

    Until `remove`, the model's own balance loss is off (`output_router_logits`), which is one of its own process alone
    and fails on the mask of packed rows. Raises `ModelError` for a model without routed experts.
    """

    def __init__(self, model: Any, coefficient: float) -> None:
        self.coefficient = coefficient
        self._logits: list[Tensor] = []
        self._hooks: list[Any] = [model.register_forward_pre_hook(self._begin)]
        self._config = model.config
        self._before = model.config.output_router_logits
        self._top_k = 0
        for block in describe(model).blocks:
            experts = None if block.mlp is None else block.mlp.experts
            if experts is not None:
                self._top_k = experts.top_k
                self._hooks.append(experts.router.get().register_forward_hook(self._routed))
        if not self._top_k:
            self.remove()
            raise ModelError(f"{type(model).__name__} has no routed experts to balance")
        model.config.output_router_logits = False

    def __call__(self, model: Any, kwargs: Mapping[str, Any]) -> Tensor:
        """The loss of the forward pass that was made with these arguments."""
        mask = kwargs.get("attention_mask")
        if mask is not None:
            batch, length = kwargs["labels"].shape
            mask = real_tokens(mask, batch, length)
        return self.coefficient * stock_balance(self._logits, self._top_k, mask)

    def remove(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()
        self._config.output_router_logits = self._before

    def _begin(self, module: Any, args: Any) -> None:
        self._logits.clear()

    def _routed(self, module: Any, args: Any, output: Any) -> None:
        if not module.training or recomputing():
            return
        refuse_reentrant()
        self._logits.append(output[0] if isinstance(output, tuple) else output)
