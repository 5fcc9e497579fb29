"""Random features: a linear probe on the same architecture with all weights drawn anew, nothing pre-trained

What pre-training is worth on a task is what a row gains over this one; a task on which it wins says nothing of
pre-training. Convolutions of random weights are good features of small images (Saxe et al., On Random Weights and
Unsupervised Feature Learning, ICML 2011). The weights are drawn as timm draws those of a new network.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import PARAMETERS
from ...methods.baselines.linear_probe import LinearProbe
from ..redrawing import UndrawnError, redraw

ROLE = "control"


@dataclass(frozen=True, kw_only=True)
class RandomFeatures(LinearProbe):
    """The options of the probe; other weights for each seed."""

    stochastic: ClassVar[bool] = True

    @property
    def needs(self) -> frozenset[str]:
        """What the probe needs, and weights to draw."""
        return super().needs | {PARAMETERS}

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The body with new weights, frozen. Raises `NotApplicable` for weights that nobody knows how to draw."""
        body: Any = backbone.body
        try:
            redraw(body.network, context.generator("random-features"))
        except UndrawnError as error:
            raise NotApplicable(str(error)) from None
        return super().prepare(backbone, context)
