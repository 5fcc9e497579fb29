"""Storage and computation of a bank of feed-forward experts of any, possibly unequal, sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..anatomy import ExpertWeights

# Shapes: T tokens, D width, K chosen experts, M hidden neurons of one expert, S sum of M over experts.


class ExpertBank(nn.Module):
    """Experts E_e(x) = W_down[:, S_e] (act(W_gate[S_e] x) * (W_up[S_e] x)), or W_down[:, S_e] act(W_up[S_e] x + b).

    Expert by expert along the first dimension: `gate_up` (2S, D) holds the gate rows, then the up rows of each expert
    ((S, D), up rows alone, when there is no gate), `bias` belongs to `gate_up`, and `down` (S, D) is W_down transposed.
    Every expert is thus one contiguous slice. The bias of the down projection is not part of an expert.
    """

    def __init__(
        self,
        *,
        sizes: Sequence[int],
        gate_up: Tensor,
        down: Tensor,
        bias: Tensor | None,
        gated: bool,
        activation: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.sizes, self.gated, self.activation = tuple(sizes), gated, activation
        self.gate_up = nn.Parameter(gate_up)
        self.down = nn.Parameter(down)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """Sum over the chosen experts of weight times expert output, (T, D)."""
        if len(x_TD) == 1:
            return self._one_token(x_TD, index_TK[0], weight_TK[0])
        return self._sorted(x_TD, index_TK, weight_TK)

    def every(self, x_TD: Tensor) -> Tensor:
        """Unweighted sum over all experts, (T, D). For a bank of one expert: that expert."""
        hidden = [self._hidden(x_TD, *parts) for parts in zip(*self._inward(), strict=True)]
        return torch.cat(hidden, dim=-1) @ self.down

    def weights(self, expert: int) -> ExpertWeights:
        """Views of one expert's matrices in the layout of `nn.Linear`."""
        rows = self._inward()[0][expert]
        gate, up = rows.chunk(2) if self.gated else (None, rows)
        return ExpertWeights(gate, up, self.down.split(self.sizes)[expert].T)

    def _one_token(self, x_1D: Tensor, index_K: Tensor, weight_K: Tensor) -> Tensor:
        inward, bias = self._inward()
        down = self.down.split(self.sizes)
        weight_K = weight_K.to(x_1D.dtype)
        parts = [
            (self._hidden(x_1D, inward[e], bias[e]) * weight_K[place]) @ down[e]
            for place, e in enumerate(index_K.tolist())
        ]
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def _sorted(self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """Sort the (token, expert) pairs by expert: each expert then works on one contiguous slice."""
        order = index_TK.flatten().argsort(stable=True)
        counts = torch.bincount(index_TK.flatten(), minlength=len(self.sizes)).tolist()
        token = order // index_TK.shape[1]
        weight = weight_TK.flatten()[order].to(x_TD.dtype).unsqueeze(-1)
        rows = x_TD.index_select(0, token)
        out = torch.zeros_like(x_TD)
        # split, not slicing: the backward of a slice makes a zero tensor as large as all experts, once per expert.
        inward, bias = self._inward()
        slices = zip(token.split(counts), rows.split(counts), weight.split(counts), strict=True)
        experts = zip(inward, bias, self.down.split(self.sizes), strict=True)
        for (place, x_MD, g), (w_in, b_in, w_out) in zip(slices, experts, strict=True):
            if len(place):
                part = (self._hidden(x_MD, w_in, b_in) * g) @ w_out
                out.index_add_(0, place, part.to(out.dtype))  # under autocast the product is narrower than x
        return out

    def _inward(self) -> tuple[Sequence[Tensor], Sequence[Tensor | None]]:
        rows = [size * 2 for size in self.sizes] if self.gated else list(self.sizes)
        return self.gate_up.split(rows), [None] * len(rows) if self.bias is None else self.bias.split(rows)

    def _hidden(self, x_TD: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        inward = nn.functional.linear(x_TD, weight, bias)
        if not self.gated:
            return self.activation(inward)
        gate, up = inward.chunk(2, dim=-1)
        return self.activation(gate) * up

    def extra_repr(self) -> str:  # noqa: D102 - torch's own hook
        return f"sizes={self.sizes}, width={self.down.shape[1]}, gated={self.gated}"
