"""Base of the methods that leave a mixture fewer experts, by what these did on the calibration data."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.compression.trimming.experts.budgets import Keep
from sparsebench.models.compression.trimming.experts.drop import ExpertDropReport
from sparsebench.models.compression.trimming.experts.merging import MergeReport
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CALIBRATION_DATA, EXPERTS
from ..moe._calibration import expert_statistics
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add

Report = ExpertDropReport | MergeReport


@dataclass(frozen=True, kw_only=True)
class ExpertTrimming(TunedMethod):
    """Each mixture of the backbone keeps some of its experts."""

    may_repeat: ClassVar[bool] = True
    """Whether two seeds, of other calibration data, may well keep the same experts: read by the conformance battery."""

    keep: float = 0.75
    """Share of the experts of each mixture that stay, in (0, 1]; one at least."""
    numbers: tuple[int, ...] = ()
    """How many stay of each mixture, in order, instead of a share."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep}, the fraction of the experts that stay, must lie in (0, 1]")
        if any(number < 1 for number in self.numbers):
            raise ValueError(
                f"numbers={list(self.numbers)}: each mixture keeps one expert or more; layer_drop takes it out whole"
            )

    @property
    def needs(self) -> frozenset[str]:
        """Experts, and data that show what they do."""
        return frozenset({EXPERTS, CALIBRATION_DATA})

    @property
    def all_outputs(self) -> bool:
        """Whether the choice looks at what experts give for tokens that went to others."""
        return False

    @abstractmethod
    def trim(self, model: nn.Module, statistics: Sequence[LayerStatistics], keep: Keep, context: Context) -> Report:
        """Leave the model fewer experts, in place. Raises `ModelError` where that cannot be, the model untouched."""

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Look at the experts, and trim in place. Raises `NotApplicable` where the model cannot be trimmed so."""
        statistics = expert_statistics(backbone, context, all_outputs=self.all_outputs)
        sizes = Sizes(backbone)
        try:
            report = self.trim(backbone, statistics, self.numbers or float(self.keep), context)
        except ModelError as error:
            raise NotApplicable(str(error)) from error  # say, a router that chooses among groups of experts
        sizes.note(context, _findings(statistics, report))
        return backbone


def _findings(statistics: Sequence[LayerStatistics], report: ExpertDropReport | MergeReport) -> Blocks:
    """Experts of each mixture that stayed and went, and how many calibration tokens each saw.

    Of merged ones, the first of a group stays.
    """
    kept = _kept(report)
    blocks: Blocks = {}
    for seen in statistics:
        stays = kept[seen.layer]
        add(
            blocks,
            seen.block,
            experts_before=[seen.num_experts],
            experts=[len(stays)],
            dropped_experts=sorted(set(range(seen.num_experts)) - stays),
            unseen_experts=(seen.counts == 0).nonzero().flatten().tolist(),
            tokens=seen.counts.tolist(),
        )
    return blocks


def _kept(report: ExpertDropReport | MergeReport) -> dict[str, set[int]]:
    if isinstance(report, ExpertDropReport):
        return {layer.layer: set(layer.kept) for layer in report.layers}
    return {layer: {group[0] for group in groups} for layer, groups in report.groups.items()}
