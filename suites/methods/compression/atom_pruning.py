"""HEAPr: the neurons of all experts that the loss needs least, by its second order, go as a mask

Li et al. (arXiv 2509.22299): an expert is a sum of neurons, and what one adds is scored by the Fisher matrix of the
expert's output; the lowest of all experts of all layers go. Their weights become 0 here and are stored, so that the
fraction that stays is the budget, and no byte is saved. Without training.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.trimming.experts.atoms import mask_atoms, output_gradients
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.errors import ModelError
from sparsebench.reports.compression.notes import ZEROS

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CALIBRATION_DATA, EXPERTS
from ...training.callbacks import Callback
from ...training.kept_zeros import KeptZeros
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add


@dataclass(frozen=True, kw_only=True)
class AtomPruning(TunedMethod):
    """The best `keep` of the neurons of all experts together stay."""

    keep: float = 0.75
    """Share of the neurons that stay, in (0, 1]."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep}, the fraction of the neurons that stay, must lie in (0, 1]")

    @property
    def needs(self) -> frozenset[str]:
        """Experts, and data with a loss."""
        return frozenset({EXPERTS, CALIBRATION_DATA})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Score by the loss of the task, and mask in place. Raises `NotApplicable` for experts without such a view."""

        def summed(model: nn.Module, batch: Any) -> Tensor:
            count = context.tokens(batch) if context.tokens is not None else len(context.inputs(batch))
            return context.loss(model, batch) * count

        sizes = Sizes(backbone)
        try:
            gradients = output_gradients(backbone, context.batches(), summed)
            statistics = mixture_statistics(backbone, context.calibration(), moments=True)
            report = mask_atoms(backbone, statistics, gradients, self.keep)
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        blocks: Blocks = {}
        for mixture, layer in zip(mixtures_of(backbone), report, strict=True):
            zeros = [1 - kept / layer.width for kept in layer.kept]
            add(blocks, mixture.block.index, **{f"{ZEROS}down": zeros})
        sizes.note(context, blocks)
        return backbone

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """The zeros stay."""
        return (*super().callbacks(context), KeptZeros())
