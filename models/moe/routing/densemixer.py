"""DenseMixer: top-k experts forward, the gradient of the router as if all experts were mixed (Yao et al., 2025).

Top-k sets the weights of all other experts to 0, and backpropagation takes these zeros for constants, so that a router
never learns what an expert would have done that it did not choose. Here the derivative of this cut is taken to be the
identity (a straight-through estimator), which costs a forward pass of the experts that were not chosen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .once_differentiable import once_differentiable

# Shapes: T tokens, D width, N routed experts, K chosen experts, n tokens that did not choose an expert.


def passed_weights(score_TN: Tensor, index_TK: Tensor, *, renorm: bool) -> Tensor:
    """Weights of all experts (T, N): in value those of the chosen ones and 0 else, with the gradient of all scores.

    With p the scores, m the mask of the chosen and sg(.) without gradient: w = sg(m p) + p - sg(p), over its sum if
    `renorm`. Of a softmax, whose gradients sum to 0, that is dw_i = dp_i / sum of the chosen p, for all i. (The
    released code normalises the chosen ones with the gradient of their own sum, and notes this formula as the right
    one.)
    """
    mask_TN = torch.zeros_like(score_TN).scatter(1, index_TK, 1)
    fixed_TN = score_TN.detach()
    weight_TN = mask_TN * fixed_TN + (score_TN - fixed_TN)
    if renorm:
        weight_TN = weight_TN / weight_TN.sum(-1, keepdim=True)
    return weight_TN


def mix_densely(experts: nn.Module, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, passed_TN: Tensor) -> Tensor:
    """The output of the chosen experts (T, D), bit by bit, whose gradient reaches `passed_TN` at all experts.

    The experts' own gradients, and that of x through them, are those of the chosen ones. `experts` is called with (x,
    index, weight), in the backward pass too.
    """
    passed_TK = passed_TN.gather(1, index_TK)
    # The difference is 0: the value is that of the plain weights.
    weight_TK = weight_TK.detach() + (passed_TK - passed_TK.detach())
    out_TD = experts(x_TD, index_TK, weight_TK)
    return _NotChosen.apply(out_TD, passed_TN, index_TK, x_TD, experts)


class _NotChosen(torch.autograd.Function):
    """The output as it is; backward, dL/dw_e = <dL/dy, E_e(x)> for the experts that a token did not choose."""

    @staticmethod
    def forward(
        ctx: Any, out_TD: Tensor, passed_TN: Tensor, index_TK: Tensor, x_TD: Tensor, experts: nn.Module
    ) -> Tensor:
        """The output."""
        ctx.save_for_backward(index_TK, x_TD)
        ctx.experts = experts
        ctx.like = passed_TN.new_empty(())
        ctx.count = passed_TN.shape[1]
        # The backward pass runs outside of autocast, and the experts have to compute there as they did here.
        ctx.autocast = torch.is_autocast_enabled(x_TD.device.type) if x_TD.device.type != "meta" else False
        return out_TD.view_as(out_TD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TD: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the output and of the weights."""
        index_TK, x_TD = ctx.saved_tensors
        kind = x_TD.device.type
        chosen_TN = torch.zeros(len(x_TD), ctx.count, dtype=torch.bool, device=x_TD.device).scatter(1, index_TK, True)
        grad_TN = ctx.like.new_zeros(chosen_TN.shape)
        # Computed again, one expert at a time: to keep the outputs of all experts would take N times the memory of x.
        for expert in range(ctx.count):
            token_n = (~chosen_TN[:, expert]).nonzero().flatten()
            if len(token_n) == 0:
                continue
            index_n1 = torch.full_like(token_n, expert).unsqueeze(1)
            weight_n1 = grad_TN.new_ones(index_n1.shape)
            with torch.autocast(kind, torch.get_autocast_dtype(kind), enabled=ctx.autocast):
                out_nD = ctx.experts(x_TD[token_n], index_n1, weight_n1)
            grad_TN[token_n, expert] = (grad_TD[token_n] * out_nD).sum(-1, dtype=grad_TN.dtype)
        return grad_TD, grad_TN, None, None, None
