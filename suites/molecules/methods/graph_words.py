"""GraphsGPT with fewer words: the first K of them, both halves trained

Gao et al. (arXiv 2402.02464) train one model for each K of 1, 2, 4 and 8 graph words. More words carry more of a
molecule.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ...contracts.context import Context
from ...contracts.traits import GENERATION, GRAPH_WORDS, TRAINING_DATA
from ...training.method import TrainedMethod


@dataclass(frozen=True, kw_only=True)
class GraphWords(TrainedMethod):
    """Everything trains, with `words` words."""

    words: int = 1
    """K, at most the words of the backbone."""
    learning_rate: float = 2e-3
    """Peak learning rate."""

    @property
    def needs(self) -> frozenset[str]:
        """Only tasks that train a generator, and generators that write from words."""
        return frozenset({GENERATION, TRAINING_DATA, GRAPH_WORDS})

    def prepare(self, backbone: Any, context: Context) -> nn.Module:
        """The backbone without its further words; conditions, which this task does not use, stay as they are."""
        backbone.keep_words(self.words).requires_grad_(True)
        if backbone.encoder.condition is not None:
            backbone.encoder.condition.requires_grad_(False)
        return backbone
