"""GraphsGPT with fewer words: the first K of them, both halves trained

Gao et al. (arXiv 2402.02464) train one model for each K of 1, 2, 4 and 8 graph words. More words carry more of a
molecule.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from ...contracts.context import Context
from ...contracts.traits import Backbone, TaskTraits
from ...training.method import TrainedMethod
from ..generation.task import GenerationTask


@dataclass(frozen=True, kw_only=True)
class GraphWords(TrainedMethod):
    """Everything trains, with `words` words."""

    words: int = 1
    """K, at most the words of the backbone."""
    learning_rate: float = 2e-3
    """Peak learning rate."""

    def unsupported(self, task: type[TaskTraits], backbone: Backbone) -> str | None:
        """Only tasks that train a generator."""
        if not issubclass(task, GenerationTask):
            return "this task has no graph words"
        return None if task.trains else "this task does not train"

    def prepare(self, backbone: Any, context: Context) -> nn.Module:
        """The backbone without its further words; conditions, which this task does not use, stay as they are."""
        backbone.keep_words(self.words).requires_grad_(True)
        if backbone.encoder.condition is not None:
            backbone.encoder.condition.requires_grad_(False)
        return backbone
