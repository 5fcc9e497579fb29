"""Experts as two matrix products each and what lies between: in PyTorch's operators here, in C++ in `native`."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .rows import products, scratch

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons, S (token, expert) pairs.


class Plan(NamedTuple):
    """Pairs sorted by expert: how many each expert has, which they are (S,), and where each pair went (T, K).

    Pairs whose index is N come last and count for nothing; their place is -1.
    """

    counts: list[int]
    order: Tensor
    place: Tensor


class Operators:
    """Sorting pairs by expert, gathering, gating and combining rows. Gated SiLU experts without bias."""

    def forward(
        self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor
    ) -> tuple[Tensor, Tensor, Plan]:
        """The layer (T, D), what goes into its activation (S, 2M), sorted by expert, and the plan. No autograd.

        The routing weight goes into the hidden activation, which is narrower than the output.
        """
        plan = self.plan(index_TK, len(down))
        pairs = sum(plan.counts)
        hidden = down.shape[2]
        rows_SD = scratch("rows", (pairs, x_TD.shape[1]), x_TD)
        acted_SM = scratch("acted", (pairs, hidden), x_TD)
        inward = x_TD.new_empty(pairs, 2 * hidden)
        self.gather(x_TD, plan.order, index_TK.shape[1], rows_SD)
        products(rows_SD, plan.counts, gate_up, inward)
        self.gate(inward, plan.order, weight_TK, acted_SM)
        products(acted_SM, plan.counts, down, rows_SD)  # the inputs are no longer needed: outputs take their place
        return self.combine(rows_SD, plan.place), inward, plan

    def plan(self, index_TK: Tensor, experts: int) -> Plan:
        """Sort the pairs by expert."""
        flat = index_TK.flatten()
        order = flat.argsort(stable=True)
        counts = torch.bincount(flat, minlength=experts + 1)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        place[flat == experts] = -1
        return Plan(counts[:experts].tolist(), order, place.view_as(index_TK))

    def gather(self, x_TD: Tensor, order_S: Tensor, top_k: int, out_SD: Tensor) -> None:
        """Row of the token of each pair."""
        torch.index_select(x_TD, 0, order_S[: len(out_SD)] // top_k, out=out_SD)

    def gate(self, inward_SM: Tensor, order_S: Tensor, weight_TK: Tensor, out_SM: Tensor) -> None:
        """weight * silu(gate) * up, from rows of 2M numbers, gate first."""
        gate, up = inward_SM.chunk(2, dim=-1)
        torch.mul(F.silu(gate), up, out=out_SM)
        out_SM.mul_(weight_TK.flatten()[order_S[: len(out_SM)]].to(out_SM.dtype).unsqueeze(-1))

    def gate_backward(
        self,
        inward_SM: Tensor,
        order_S: Tensor,
        weight_TK: Tensor,
        grad_SM: Tensor,
        grad_inward: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        """The way back through `gate`.

        From the gradient of its output to that of the rows, written to `grad_inward`, and of the weights, returned
        (T, K); the output itself is computed again into `hidden`.
        """
        gate, up = inward_SM.chunk(2, dim=-1)
        order_S = order_S[: len(hidden)]
        weight = weight_TK.flatten()[order_S].to(hidden.dtype).unsqueeze(-1)
        probability = gate.sigmoid()
        acted = gate * probability
        torch.mul(acted, up, out=hidden)
        grad_weight = torch.zeros_like(weight_TK)
        grad_weight.view(-1)[order_S] = (grad_SM * hidden).sum(-1, dtype=weight_TK.dtype)
        scaled = grad_SM * weight
        hidden.mul_(weight)
        to_gate, to_up = grad_inward.chunk(2, dim=-1)
        torch.mul(scaled, acted, out=to_up)
        slope = probability.addcmul_(acted, 1 - probability)  # silu'(g) = p + g p (1 - p)
        torch.mul(scaled.mul_(up), slope, out=to_gate)
        return grad_weight

    def combine(self, rows_SD: Tensor, place_TK: Tensor) -> Tensor:
        """Sum of the rows of each token, (T, D)."""
        if len(rows_SD) < place_TK.numel():  # some pairs have no expert: their place is one more row, of zeros
            rows_SD = torch.cat((rows_SD, rows_SD.new_zeros(1, rows_SD.shape[1])))
            place_TK = place_TK.where(place_TK >= 0, len(rows_SD) - 1)
        return F.embedding_bag(place_TK, rows_SD, mode="sum")
