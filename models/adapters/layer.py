"""The wrapper that all adapters are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..anatomy import Wrapper


class AdapterLayer(Wrapper):
    """A frozen module `base` with trainable modules beside it."""

    def added(self) -> Iterator[tuple[str, nn.Module]]:
        """Names and modules of what was added to `base`."""
        return ((name, child) for name, child in self.named_children() if name != "base")


class FrozenNorm(Wrapper):
    """A batch norm whose running statistics stay as they are: `train()` of the model leaves it in eval mode."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__(base)
        self.training = base.training
        base.eval()

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """Normalise with the running statistics."""
        return self.base(*args, **keywords)

    def train(self, mode: bool = True) -> FrozenNorm:
        """Set the mode of this wrapper only."""
        super().train(mode)
        self.base.eval()
        return self
