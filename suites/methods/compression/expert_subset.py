"""NAEE: of all sets of experts of a mixture, the one that rebuilds its output best stays

Lu et al. (arXiv 2402.14800), expert pruning: each mixture by itself on the calibration data, exhaustively, so for
mixtures of few experts (16 over 8 are 12,870 sets). The others leave with their rows of the router. Without training.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.subset import MOST, keep_best_subsets
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CALIBRATION_DATA, EXPERTS
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add


@dataclass(frozen=True, kw_only=True)
class ExpertSubset(TunedMethod):
    """Each mixture keeps as many experts."""

    may_repeat: ClassVar[bool] = True
    """Whether two seeds, of other calibration data, may well keep the same experts: read by the conformance battery."""

    keep: float = 0.75
    """Share of the experts of each mixture that stay, in (0, 1]; one at least."""
    most: int = MOST
    """Sets of a mixture that may be tried; a mixture with more of them is not applicable."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep={self.keep}, the fraction of the experts that stay, must lie in (0, 1]")

    @property
    def needs(self) -> frozenset[str]:
        """Experts, and data that show what they do."""
        return frozenset({EXPERTS, CALIBRATION_DATA})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Try all sets, and trim in place. Raises `NotApplicable` for too many sets, and for another kind of router."""
        sizes = Sizes(backbone)
        try:
            report, errors = keep_best_subsets(backbone, context.calibration(), float(self.keep), most=self.most)
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        blocks: Blocks = {}
        for mixture, layer, error in zip(mixtures_of(backbone), report.layers, errors, strict=True):
            add(
                blocks,
                mixture.block.index,
                experts_before=[len(layer.kept) + len(layer.dropped)],
                experts=[len(layer.kept)],
                dropped_experts=layer.dropped,
                unseen_experts=layer.unseen,
                error=[error],
            )
        sizes.note(context, blocks)
        return backbone
