"""Few-shot sampling: molecules from the words of reference molecules with Gaussian noise

GraphsGPT (Gao et al., arXiv 2402.02464) generates so: encode molecules of the training set, add noise of standard
deviation s to their words, decode greedily. The words are normed, so 1 is their own size. Novelty and copies are
measured against the set that the references come from: with little noise much of what comes out is one of them, and its
FCD is near that of the training set for that reason alone. So it is a control, which beats nothing.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...contracts.context import Context
from ...contracts.method import Method
from ...contracts.traits import GENERATION, GRAPH_WORDS, REFERENCES
from ..generation.sampler import Sampler, SamplingConfig

ROLE = "control"
"""What a row of this method alone is there for, read by the report."""


@dataclass(frozen=True, kw_only=True)
class FewShot(Method):
    """`noise` is s of the paper."""

    noise: float = 1.0
    """Standard deviation of what is added to every number of the words."""
    constrained: bool = True
    """Replace edges that are not allowed; without, a molecule with one is invalid."""
    num_words: int | None = None
    """How many of the model's words to use; None uses all."""

    stochastic: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """Only tasks that ask for new molecules and for nothing else, and generators that write from words."""
        return frozenset({GENERATION, REFERENCES, GRAPH_WORDS})

    def prepare(self, backbone: Any, context: Context) -> nn.Module:
        """The model with this way of sampling."""
        config = SamplingConfig(noise=self.noise, constrained=self.constrained, num_words=self.num_words)
        return Sampler(backbone, config)
