"""A method that trains: its settings, and its hooks into the training loop."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..contracts.context import Context
from ..contracts.method import Curves, Method
from .batches import TrainingData
from .loop import Callback, train


@dataclass(frozen=True, kw_only=True)
class TrainedMethod(Method):
    """A method whose model is trained by the loop of `loop.py`."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 1e-2
    """AdamW's decoupled decay, on tensors with two or more dimensions."""
    warmup: float = 0.1
    """Share of the steps that the learning rate rises."""

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """Training loss; override to add a balance or distillation term."""
        return context.loss(model, batch)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Hooks into the loop, in order."""
        return ()

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Train the parameters that require a gradient, for `budget.epochs` epochs."""
        return train(self, model, data, context)
