"""Statistics of every FFN on calibration data, taken in one pass and enough for every split and router."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import MLP, describe
from ..errors import ModelError


@dataclass
class FFNStatistics:
    """Sums over tokens t of FFN inputs x_t (width) and of h_t (hidden), the input of the down projection.

    `abs_hidden`: sum |h_ti| (hidden,). `energy`: sum h_ti^2 (hidden,). `energy_input`: sum h_ti^2 x_t (hidden, width).
    """

    tokens: int
    input: Tensor
    abs_hidden: Tensor
    energy: Tensor
    energy_input: Tensor

    @classmethod
    def empty(cls, mlp: MLP, device: torch.device) -> FFNStatistics:
        """No tokens yet."""
        width, hidden = torch.zeros(mlp.width, device=device), torch.zeros(mlp.hidden, device=device)
        return cls(0, width, hidden, hidden.clone(), torch.zeros(mlp.hidden, mlp.width, device=device))

    def add(self, x_TD: Tensor, h_TF: Tensor) -> None:
        """Add tokens: their FFN inputs and hidden activations."""
        x_TD, h_TF = x_TD.float(), h_TF.float()
        squared = h_TF.square()
        self.tokens += len(x_TD)
        self.input += x_TD.sum(0)
        self.abs_hidden += h_TF.abs().sum(0)
        self.energy += squared.sum(0)
        self.energy_input.addmm_(squared.T, x_TD)

    def importance(self, down_norm: Tensor) -> Tensor:
        """Mean over tokens of |h_i| * ||W_down[:, i]||: what a neuron adds to the output, in norm. Shape (hidden,)."""
        return self.abs_hidden / self.tokens * down_norm


class _Recorder:
    """Hooks of one FFN: keeps its input until the hidden activation arrives."""

    def __init__(self, mlp: MLP, statistics: FFNStatistics) -> None:
        assert mlp.down is not None
        self.statistics = statistics
        self.keep: Tensor | None = None
        self.input: Tensor | None = None
        self.hooks = (
            mlp.site.get().register_forward_pre_hook(self._entered),
            mlp.down.get().register_forward_pre_hook(self._hidden),
        )

    def _entered(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.input = args[0]

    def _hidden(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert self.input is not None
        self.statistics.add(self._tokens(self.input), self._tokens(args[0]))

    def _tokens(self, x: Tensor) -> Tensor:
        if self.keep is not None and self.keep.shape == x.shape[:-1]:
            return x[self.keep]
        return x.flatten(0, -2)


def calibrate(model: nn.Module, batches: Iterable[Any]) -> list[FFNStatistics]:
    """Run batches (`model(**batch)` for mappings, else `model(batch)`) and return one record per block.

    Tokens that an `attention_mask` (batch, length) hides are left out. The model runs in eval mode without gradients
    and is left as it was. Raises `ModelError` when there is no token or an activation is not finite.
    """
    mlps = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    device = next(model.parameters()).device
    statistics = [FFNStatistics.empty(mlp, device) for mlp in mlps]
    recorders = [_Recorder(mlp, record) for mlp, record in zip(mlps, statistics, strict=True)]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                _run(model, batch, recorders)
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in (hook for recorder in recorders for hook in recorder.hooks):
            hook.remove()
    _check(statistics)
    return statistics


def _run(model: nn.Module, batch: Any, recorders: list[_Recorder]) -> None:
    mapping = isinstance(batch, Mapping)
    mask = batch.get("attention_mask") if mapping else None
    for recorder in recorders:
        recorder.keep = None if mask is None else mask.bool()
    if mapping:
        model(**batch)
    else:
        model(batch)


def _check(statistics: list[FFNStatistics]) -> None:
    if any(record.tokens == 0 for record in statistics):
        raise ModelError("the calibration data hold no token: pass at least one batch")
    for index, record in enumerate(statistics):
        if not (record.energy_input.isfinite().all() and record.abs_hidden.isfinite().all()):
            raise ModelError(f"block {index}: activations on the calibration data are NaN or infinite")
