"""Sampling: molecules sampled edge by edge at a temperature, from a condition

A condition (a scaffold, properties, nothing) is encoded into words, from which the decoder samples. This is how the
bare model samples, too, and molecules that should have a scaffold start as it. The options are controls: `redraws: 0`
repairs an edge that is not allowed at once, where by default the molecule is drawn again,
`use_condition: false` ignores what is asked for, `scaffold_prefix: false` lets the scaffold steer alone, `constrained:
false` lets the model write molecules that do not exist.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ...contracts.context import Context
from ...contracts.method import Method
from ...contracts.traits import GENERATION, GRAPH_WORDS
from ..generation.sampler import Sampler, SamplingConfig

RENAMED = {"heed": "use_condition", "keep_scaffold": "scaffold_prefix"}
"""What older records call it."""


@dataclass(frozen=True, kw_only=True)
class Sampling(Method):
    """Ways to sample, and controls."""

    temperature: float = 0.9
    """0 takes the most likely edge."""
    redraws: int = 10
    """How often a molecule with an edge that is not allowed is drawn again; 0 repairs it at once."""
    constrained: bool = True
    """Replace edges that are not allowed; without, a molecule with one is invalid."""
    use_condition: bool = True
    """False is the control that ignores what is asked for."""
    scaffold_prefix: bool = True
    """Start as the scaffold that is asked for; without, it only steers."""
    num_words: int | None = None
    """How many of the model's words to use; None uses all."""

    stochastic: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """Only tasks that generate, and generators that write from words."""
        return frozenset({GENERATION, GRAPH_WORDS})

    def prepare(self, backbone: Any, context: Context) -> nn.Module:
        """The model with this way of sampling."""
        return Sampler(backbone, SamplingConfig(**vars(self)))
