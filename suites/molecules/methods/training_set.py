"""Training molecules: what a model could reach that gives back random molecules of its training set

The "Train" row of MOSES (Polykovskiy et al., arXiv 1811.12823): the distance between two samples of one distribution,
and a novelty of 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from sparsebench.models.graphsgpt import Generated

from ...contracts.context import Context
from ...contracts.method import Method
from ...contracts.traits import GENERATION, GRAPH_WORDS, REFERENCES
from ..generation.sampler import Sampler

ROLE = "ceiling"
"""What a row of this method alone is there for, read by the report."""
FORMER_NAMES = ("training_copies",)
"""What older records call this method."""


class ReferenceSampler(Sampler):
    """Gives the reference molecules; the model is there for the costs alone."""

    @property
    def core_seconds(self) -> float | None:
        """None: nothing was trained for this."""
        return None

    def sample(
        self,
        n: int,
        references: Sequence[str],
        generator: torch.Generator,
        scaffold: str | None = None,
        properties: Mapping[str, float] | None = None,
    ) -> list[Generated]:
        """The first `n` references, as they were read."""
        pipeline = self.pipeline()
        tokens = pipeline.tokenize(list(references)[:n])
        return [pipeline.read(tokens[row]) for row in range(len(tokens))]


@dataclass(frozen=True, kw_only=True)
class TrainingSet(Method):
    """Nothing to configure."""

    stochastic: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """Only tasks that ask for new molecules and for nothing else, and generators that write from words."""
        return frozenset({GENERATION, REFERENCES, GRAPH_WORDS})

    def prepare(self, backbone: Any, context: Context) -> nn.Module:
        """The sampler that gives its references."""
        return ReferenceSampler(backbone)
