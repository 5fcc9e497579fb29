"""Experts in plain PyTorch operators: any device, dtype and activation, with autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError
from .rows import padded

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons of an expert, R rows of one expert.


class Weights(NamedTuple):
    """Stacked experts: gate_up (N, 2M or M, D), down (N, D, M), bias (N, 2M or M) of gate_up."""

    gate_up: Tensor
    down: Tensor
    bias: Tensor | None
    gated: bool
    activation: Callable[[Tensor], Tensor]


def loop_experts(
    x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights, *, few_shapes: bool = False
) -> Tensor:
    """Sort the (token, expert) pairs by expert: each expert then works on one contiguous slice.

    `few_shapes`: slices are filled up with rows of zeros (`rows.padded`), whose results are dropped: the same numbers.
    """
    check_devices(x_TD, weights)
    experts = len(weights.down)
    order = index_TK.flatten().argsort(stable=True)
    counts = _counts(index_TK, experts)
    token = order // index_TK.shape[1]
    weight = weight_TK.flatten()[order].to(x_TD.dtype).unsqueeze(-1)
    rows = x_TD.index_select(0, token)
    out_TD = torch.zeros_like(x_TD)
    slices = zip(token.split(counts), rows.split(counts), weight.split(counts), strict=True)
    stacks = zip(*unbound(weights), strict=True)
    # There is one slice more than experts: that of the pairs without an expert, which comes last and adds nothing.
    for (token_R, x_RD, weight_R1), (gate_up, bias, down) in zip(slices, stacks, strict=False):
        if len(token_R):
            if few_shapes:
                x_RD = padded(x_RD)
                weight_R1 = padded(weight_R1)
            part_RD = F.linear(hidden(x_RD, gate_up, bias, weights) * weight_R1, down)[: len(token_R)]
            out_TD.index_add_(0, token_R, part_RD.to(out_TD.dtype))  # under autocast the product is narrower than x
    if counts[-1] == len(order):
        # No expert has a row: one product of no rows keeps tokens, weights and experts in the graph.
        gate_up, bias, down = next(zip(*unbound(weights), strict=True))
        none_RD = F.linear(hidden(rows[:0], gate_up, bias, weights) * weight[:0], down)
        out_TD.index_add_(0, token[:0], none_RD.to(out_TD.dtype))
    return out_TD


def check_devices(x_TD: Tensor, weights: Weights) -> None:
    """Raise a `ModelError` for weights that are not where the tokens are: some operators would read what is not there.

    Weights are elsewhere when they are offloaded and the module that holds them is not called, so that the hook which
    brings them does not run.
    """
    for weight in (weights.gate_up, weights.down):
        if weight.device != x_TD.device:
            raise ModelError(
                f"the tokens are on {x_TD.device}, the experts on {weight.device}: move them to one device, and call "
                "the layer, not its parts, if it is offloaded"
            )


def unbound(weights: Weights) -> tuple[Sequence[Tensor], Sequence[Tensor | None], Sequence[Tensor]]:
    """gate_up, bias and down of each expert.

    Not by index: the backward of an index makes a zero tensor as large as all experts, once for each expert.
    """
    bias: Sequence[Tensor | None] = [None] * len(weights.down)
    if weights.bias is not None:
        bias = weights.bias.unbind()
    return weights.gate_up.unbind(), bias, weights.down.unbind()


def _counts(index_TK: Tensor, experts: int) -> list[int]:
    """Pairs of each expert, and of none; on the meta device, where numbers are unknown, all experts have alike many."""
    if torch._C._functorch.is_batchedtensor(index_TK):  # pyright: ignore[reportAttributeAccessIssue]
        raise ModelError(
            "torch.vmap has no tokens that choose experts: call the layer on the whole batch, whose tokens do not mix, "
            "or loop over the samples"
        )
    if index_TK.is_meta:
        few, larger = divmod(index_TK.numel(), experts)
        return [few + 1] * larger + [few] * (experts - larger) + [0]
    return torch.bincount(index_TK.flatten(), minlength=experts + 1).tolist()


def few_experts(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """A few (token, expert) pairs, one by one: sorting them would take longer. No gradient, no bias."""
    out = torch.zeros_like(x_TD)
    weight_TK = weight_TK.to(x_TD.dtype)
    for token, chosen in enumerate(index_TK.tolist()):
        for place, expert in enumerate(chosen):
            if expert < len(weights.down):
                acted = hidden(x_TD[token : token + 1], weights.gate_up[expert], None, weights)
                out[token] += F.linear(acted * weight_TK[token, place], weights.down[expert])[0]
    return out


def hidden(x_RD: Tensor, gate_up: Tensor, bias: Tensor | None, weights: Weights) -> Tensor:
    """Input of the down projection of one expert, (R, M)."""
    inward = F.linear(x_RD, gate_up, bias)
    if not weights.gated:
        return weights.activation(inward)
    gate, up = inward.chunk(2, dim=-1)
    return weights.activation(gate) * up
