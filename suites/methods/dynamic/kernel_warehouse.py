"""Shared cells after KernelWarehouse: convolutions of a stage mix their kernels from cells that they share

Li and Yao, "KernelWarehouse: Rethinking the Design of Dynamic Convolution", arXiv 2406.07879, in a layer of ours with 1
to 5 % fewer parameters than the released one (`models/dynamic/convolution/warehouse.py` says why). A rival of partially
dynamic networks at equal bytes: parameters fall by sharing instead of by static weights.
"""

from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.models.anatomy import Anatomy, describe
from sparsebench.models.dynamic.conversion import make_dynamic
from sparsebench.models.dynamic.convolution.warehouse import release_cells
from sparsebench.models.dynamic.convolution.warehouse_config import WarehouseConfig
from sparsebench.models.dynamic.convolution.warehouse_placing import budget_for, sharing_groups
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CONVOLUTIONS
from ...training.callbacks import Callback, TrainingState
from ...training.from_scratch import FromScratch
from ...training.trainable import Trains
from ..shared._tuned import TunedMethod


@dataclass(frozen=True, kw_only=True)
class KernelWarehouse(FromScratch, TunedMethod):
    """With `equal_to`, a network with the bytes of a partially dynamic one; the start is the network as it was."""

    train: Trains = "all"
    """What trains on a task that trains."""
    budget: float = 1.0
    """Cells of a warehouse for each cell of the kernels that share it: 1 keeps the number of kernel parameters."""
    equal_to: float | None = None
    """In place of `budget`: the dynamic ratio of a PAD-Net of `kernels` kernels; as many numbers, its mask included."""
    kernels: int = 4
    """Kernels of each convolution of that PAD-Net."""
    reduction: int = 16
    """By how much the attention is narrower than its input."""
    release: float = 0.15
    """Share of the steps over which the cells are released from where they started."""

    def __post_init__(self) -> None:
        WarehouseConfig(budget=self.budget, reduction=self.reduction)
        if self.equal_to is not None and not 0 <= self.equal_to <= 1:
            raise ValueError(f"equal_to={self.equal_to} is the dynamic ratio of a network: 0 to 1")
        if self.kernels < 1:
            raise ValueError(f"kernels={self.kernels}: a dynamic convolution has at least one")
        if not 0 <= self.release <= 1:
            raise ValueError(f"release={self.release} is the fraction of the steps that releasing takes: 0 to 1")

    @property
    def needs(self) -> frozenset[str]:
        """Convolutions."""
        return frozenset({CONVOLUTIONS})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Put the layers in, in place. Raises `NotApplicable` for a model without such convolutions."""
        seed = int(torch.randint(2**31 - 1, (), generator=context.generator("kernel-warehouse")))
        try:
            config = WarehouseConfig(budget=self.budget, reduction=self.reduction, seed=seed)
            if self.equal_to is not None:
                config = self._matched(describe(backbone), config, self.equal_to)
            return make_dynamic(backbone, config)
        except ModelError as error:
            raise NotApplicable(str(error)) from error

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """The cells are released."""
        return (*super().callbacks(context), Releasing(self.release))

    def _matched(self, anatomy: Anatomy, config: WarehouseConfig, ratio: float) -> WarehouseConfig:
        """With the budget that has as many numbers as the PAD-Net: weights, attentions, scalars; a bit a weight."""
        numbers = 0.0
        for sites in sharing_groups(anatomy, config):
            for site in sites:
                conv = site.get()
                hidden = max(1, conv.in_channels // self.reduction)
                numbers += conv.weight.numel() * (1 + (self.kernels - 1) * ratio + 1 / 32)
                numbers += conv.in_channels * hidden + (hidden + 1) * self.kernels + 1
                numbers += 0 if conv.bias is None else self.kernels * conv.bias.numel()
        budget = budget_for(anatomy, config, int(numbers))
        return WarehouseConfig(budget=budget, reduction=self.reduction, seed=config.seed)


class Releasing(Callback):
    """What of each kernel cell is fixed falls in a straight line from 1 to 0 over the first `fraction` of steps.

    It follows from the step alone, so that a training that goes on after a stop has the right one.
    """

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction

    def on_start(self, state: TrainingState) -> None:
        """Set it before the first step."""
        self._apply(state)

    def on_step(self, state: TrainingState) -> None:
        """Set it for the next step."""
        self._apply(state)

    def on_end(self, state: TrainingState) -> None:
        """Released, also where training stopped early."""
        for model in state.models.values():
            release_cells(model, 0.0)

    def _apply(self, state: TrainingState) -> None:
        if state.total is None:
            raise ValueError("cells are released over a fraction of the steps, and nobody knows how many there will be")
        steps = round(self.fraction * state.total)
        fixed = 0.0
        if state.step < steps:
            fixed = 1 - state.step / steps
        for model in state.models.values():
            release_cells(model, fixed)
