"""Storage of a bank of feed-forward experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ...anatomy import ExpertWeights
from ...errors import ModelError
from .dispatch import Weights, run_experts
from .eager import check_devices, hidden, unbound

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons of the largest expert, F of the dense FFN,
# R rows (tokens) of one expert.


class ExpertBank(nn.Module):
    """Experts E_e(x) = W_down (act(W_gate x) * (W_up x)), or W_down act(W_up x + b) when there is no gate.

    Stacked as transformers 5 stacks its experts: `gate_up` (N, 2M, D), gate rows first ((N, M, D), up rows alone,
    without a gate), `bias` (N, 2M or M) belongs to it, `down` (N, D, M). An expert of fewer than M neurons ends in
    neurons whose weights are 0; they add nothing and stay 0 in training. `sizes` are the real numbers of neurons. The
    bias of the down projection is not part of an expert.

    Set `accumulate` where gradients are zeroed, not dropped, between steps: new ones are then added where the old lie
    (see `TrainedExperts`).
    """

    accumulate = False
    skips_none = True
    """An index of N stands for no expert, which costs nothing."""

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
        self.sizes = tuple(sizes)
        self.gated = gated
        self.activation = activation
        self.gate_up = nn.Parameter(gate_up)
        self.down = nn.Parameter(down)
        self.bias = None if bias is None else nn.Parameter(bias)

    @classmethod
    def of(
        cls,
        groups: Sequence[Tensor],
        *,
        gate: Tensor | None,
        up: Tensor,
        down: Tensor,
        gate_bias: Tensor | None = None,
        up_bias: Tensor | None = None,
        activation: Callable[[Tensor], Tensor],
    ) -> ExpertBank:
        """Experts made of groups of neurons of a dense FFN.

        Args:
            groups: index tensor of each expert.
            gate: (F, D), or None.
            up: (F, D).
            down: (D, F).
            gate_bias: (F,), or None.
            up_bias: (F,), or None.
            activation: on gate, or on up where there is none.

        Returns:
            The bank.

        Raises:
            ModelError: groups of unequal size when the activation of 0 is not 0 and no gate multiplies it.
        """
        sizes = [len(group) for group in groups]
        groups = [group.to(up.device) for group in groups]
        inward = [(up, up_bias)]
        if gate is not None:
            inward = [(gate, gate_bias), (up, up_bias)]
        check_sizes(sizes, gated=gate is not None, activation=activation)
        bias = None
        # Gate and up lie in one tensor, and so do their biases: where one of them has none, it is 0.
        if any(b is not None for _, b in inward):
            bias = torch.cat([_stack(_or_zeros(b, weight), groups) for weight, b in inward], dim=1)
        return cls(
            sizes=sizes,
            gate_up=torch.cat([_stack(weight, groups) for weight, _ in inward], dim=1),
            down=_stack(down.T, groups).transpose(1, 2).contiguous(),
            bias=bias,
            gated=gate is not None,
            activation=activation,
        )

    def forward(self, x_TD: Tensor, index_TK: Tensor | None = None, weight_TK: Tensor | None = None) -> Tensor:
        """Sum over the chosen experts of weight times expert output, (T, D).

        Args:
            x_TD: the tokens.
            index_TK: the experts of each; N stands for none. None is the plain sum over all experts, as of a shared
                block.
            weight_TK: their weights.

        Returns:
            (T, D).
        """
        if index_TK is None or weight_TK is None:
            return self._all(x_TD)
        return run_experts(x_TD, index_TK, weight_TK, self.stacked, accumulate=self.accumulate)

    def _all(self, x_TD: Tensor) -> Tensor:
        weights = self.stacked
        check_devices(x_TD, weights)
        parts = []
        for gate_up, bias, down in zip(*unbound(weights), strict=True):
            parts.append(nn.functional.linear(hidden(x_TD, gate_up, bias, weights), down))
        if len(parts) == 1:
            return parts[0]
        return torch.stack(parts).sum(0)

    @property
    def stacked(self) -> Weights:
        """The tensors and what is done between them."""
        return Weights(self.gate_up, self.down, self.bias, self.gated, self.activation)

    def weights(self, expert: int) -> ExpertWeights:
        """Views of one expert's matrices and biases in the layout of `nn.Linear`, without the zero neurons."""
        size = self.sizes[expert]
        down = self.down[expert][:, :size]
        bias = None if self.bias is None else self.bias[expert]
        if not self.gated:
            return ExpertWeights(None, self.gate_up[expert][:size], down, up_bias=None if bias is None else bias[:size])
        gate, up = self.gate_up[expert].chunk(2)
        gate_bias = None
        up_bias = None
        if bias is not None:
            gate_bias, up_bias = (half[:size] for half in bias.chunk(2))
        return ExpertWeights(gate[:size], up[:size], down, gate_bias, up_bias)

    def activate(self, gate_RM: Tensor | None, up_RM: Tensor) -> Tensor:
        """Input of the down projection, from the outputs of gate, if there is one, and up: all (R, M)."""
        if gate_RM is None:
            return self.activation(up_RM)
        return self.activation(gate_RM) * up_RM

    def real_entries(self, name: str) -> Tensor | None:
        """Which entries of the matrix `name` belong to neurons, not to the zeros that fill an expert up.

        A mask that broadcasts to the matrix; None where no expert is filled up.
        """
        if len(set(self.sizes)) == 1:
            return None
        sizes_N1 = torch.tensor(self.sizes, device=self.down.device).unsqueeze(1)
        real_NM = torch.arange(self.down.shape[2], device=self.down.device) < sizes_N1
        if name == "down":
            return real_NM.unsqueeze(1)
        if self.gated:
            real_NM = torch.cat((real_NM, real_NM), dim=1)
        return real_NM.unsqueeze(2)

    @torch.no_grad()
    def keep_neurons(self, kept: Sequence[Tensor]) -> None:
        """Keep these neurons of each expert (index tensors), in this order; what falls short of the largest is 0."""
        most = max(map(len, kept))
        index_NM = torch.zeros(len(kept), most, dtype=torch.int64)
        real_NM = torch.zeros(len(kept), most, dtype=torch.bool)
        for place, neurons in enumerate(kept):
            index_NM[place, : len(neurons)] = neurons
            real_NM[place, : len(neurons)] = True
        index_NM = index_NM.to(self.down.device)
        real_NM = real_NM.to(self.down.device)
        rows_N = index_NM
        real_rows_N = real_NM
        if self.gated:
            # Rows of gate come before those of up, which are so many further down.
            rows_N = torch.cat((index_NM, index_NM + self.down.shape[2]), dim=1)
            real_rows_N = torch.cat((real_NM, real_NM), dim=1)
        self.gate_up = _taken(self.gate_up, rows_N.unsqueeze(2), real_rows_N.unsqueeze(2), 1)
        self.down = _taken(self.down, index_NM.unsqueeze(1), real_NM.unsqueeze(1), 2)
        if self.bias is not None:
            self.bias = _taken(self.bias, rows_N, real_rows_N, 1)
        self.sizes = tuple(map(len, kept))

    def extra_repr(self) -> str:  # noqa: D102 - torch's own hook
        return f"sizes={self.sizes}, width={self.down.shape[1]}, gated={self.gated}"


def _taken(value: nn.Parameter, index: Tensor, real: Tensor, dim: int) -> nn.Parameter:
    """Other entries along a dimension, 0 where they are not real."""
    cut = torch.where(real, torch.take_along_dim(value.detach(), index, dim), 0)
    return nn.Parameter(cut, requires_grad=value.requires_grad)


def check_sizes(sizes: Sequence[int], *, gated: bool, activation: Callable[[Tensor], Tensor]) -> None:
    """Raise a `ModelError` for experts that cannot be filled up with zero neurons to one size.

    The activation of a zero neuron is act(0), which must be 0; behind a gate it is multiplied by 0 anyway.
    """
    if len(set(sizes)) > 1 and not gated and activation(torch.zeros(1, device="cpu")).item() != 0:
        raise ModelError("experts of unequal size need an activation that maps 0 to 0")


def _stack(rows: Tensor, groups: Sequence[Tensor]) -> Tensor:
    """Rows (F, ...) in groups, shorter groups filled with zeros: (N, M, ...)."""
    stacked = rows.new_zeros(len(groups), max(len(group) for group in groups), *rows.shape[1:])
    for place, group in zip(stacked, groups, strict=True):
        place[: len(group)] = rows[group]
    return stacked


def _or_zeros(bias: Tensor | None, weight: Tensor) -> Tensor:
    return weight.new_zeros(len(weight)) if bias is None else bias
