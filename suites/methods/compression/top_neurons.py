"""The neurons that are largest on a token, and no other: the ceiling of what a mixture of an FFN's neurons can keep

AbsTopK-GLU in ExpertWeaver (Zhao et al., arXiv 2602.15521, table 1; read second-hand): per token and layer the neurons
with the greatest |act(gate x) * (up x)|. All neurons compute before some are left out, so that neither time nor memory
is saved and costs are those of the dense model: no router can be had that knows as much.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.sparsity.top_neurons import keep_top_neurons

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import FFN
from ..moe._dense_ffns import check_has_ffn
from ..shared._tuned import TunedMethod

ROLE = "ceiling"
"""What a row of this method alone is there for, read by the report."""


@dataclass(frozen=True, kw_only=True)
class TopNeurons(TunedMethod):
    """Each token keeps a fraction of the neurons of every FFN."""

    may_repeat: ClassVar[bool] = True  # a seed changes the training alone, which a convex fit of a head has none of

    keep: float = 0.5
    """Fraction of the neurons that stay on a token, in (0, 1]."""
    by: Literal["activation", "contribution"] = "activation"
    """What a neuron counts by: its activation, or that times the norm of its column of the down projection."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must lie in (0, 1], not {self.keep}")

    @property
    def needs(self) -> frozenset[str]:
        """A feed-forward layer with neurons to rank."""
        return frozenset({FFN})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Put the oracle into every FFN, in place. Raises `NotApplicable` for a model without dense FFNs."""
        check_has_ffn(backbone)
        try:
            return keep_top_neurons(backbone, self.keep, self.by)
        except ModelError as error:
            raise NotApplicable(str(error)) from error
