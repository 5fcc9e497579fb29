"""The wrapper that all adapters are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..anatomy import Wrapper
from ..errors import ModelError

_MERGES = "_sparsebench_merges"  # on a bare module: how many adapters are folded into it


class AdapterLayer(Wrapper):
    """A frozen module `base` and an adapter: everything of this module that lies outside `base`.

    `owner` is the name of the set it belongs to, `place` the name of the adapted site in the bare model.
    """

    owner: str = ""
    place: str = ""
    enabled: bool = True

    linear: ClassVar[bool] = False
    """Whether the adapter can be folded into the parameters of `base`: then `fold` does it."""
    additive: ClassVar[bool] = False
    """Whether it adds a term to the output that does not depend on that output, so that folding commutes."""

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """The adapted output, or that of `base` where the set is disabled."""
        return self.adapted(*args, **keywords) if self.enabled else self.base(*args, **keywords)

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """The output with the adapter."""
        raise NotImplementedError(f"{type(self).__name__} must implement adapted")

    def fold(self, base: nn.Module) -> None:
        """Change the parameters of the bare module `base` so that it gives what this layer gives."""
        raise ModelError(f"{type(self).__name__} is not linear in its input and cannot be merged into a weight")

    def own(self) -> Iterator[tuple[str, nn.Module]]:
        """Names and modules of what was added beside `base`."""
        return ((name, child) for name, child in self.named_children() if name != "base")

    def own_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters of the adapter."""
        return ((name, value) for name, value in self.named_parameters() if not name.startswith("base."))

    def own_state(self) -> dict[str, Tensor]:
        """Parameters and buffers of the adapter by name."""
        state = self.state_dict(keep_vars=True)
        return {name: value for name, value in state.items() if not name.startswith("base.")}

    def match_mode(self) -> None:
        """Put the adapter in the mode, training or evaluation, that `base` is in."""
        self.training = self.base.training
        for _, module in self.own():
            module.train(self.training)

    def check_mergeable(self) -> None:
        """Raise `ModelError` where folding would change the function."""
        if not self.linear:
            self.fold(self.base)
        inner = self.base
        while isinstance(inner, Wrapper):
            if isinstance(inner, AdapterLayer) and not (self.additive and inner.additive):
                raise ModelError(f"{self.place}: adapters {inner.owner!r} lie below {self.owner!r}: merge those first")
            inner = inner.base

    @torch.no_grad()
    def merge(self) -> None:
        """Fold the adapter into the bare module below; `unmerge` gives the old parameters back, bit for bit."""
        base = self.bare()
        self._before = {name: None if value is None else value.detach().clone() for name, value in _direct(base)}
        self._depth = getattr(base, _MERGES, 0) + 1
        setattr(base, _MERGES, self._depth)
        self.fold(base)

    def is_last_merged(self) -> bool:
        """Whether nothing was folded into the bare module after this layer."""
        return getattr(self.bare(), _MERGES, 0) == self._depth

    @torch.no_grad()
    def unmerge(self) -> None:
        """Give the bare module the parameters it had before `merge`."""
        base = self.bare()
        setattr(base, _MERGES, self._depth - 1)
        if self._depth == 1:
            delattr(base, _MERGES)
        for name, value in self._before.items():
            now = getattr(base, name)
            if value is None or now is None:
                setattr(base, name, None if value is None else nn.Parameter(value, requires_grad=False))
            else:
                now.copy_(value)
        del self._before, self._depth

    def bare(self) -> nn.Module:
        """The module below all wrappers."""
        inner = self.base
        while isinstance(inner, Wrapper):
            inner = inner.base
        return inner


class FrozenNorm(Wrapper):
    """A batch norm whose running statistics stay as they are: `train()` of the model leaves it in eval mode."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__(base)
        self.match_mode()

    def match_mode(self) -> None:
        """Take over the mode of `base`, which goes into eval mode."""
        self.train(self.base.training)

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """Normalise with the running statistics."""
        return self.base(*args, **keywords)

    def train(self, mode: bool = True) -> FrozenNorm:
        """Set the mode of this wrapper only."""
        super().train(mode)
        self.base.eval()
        return self


def _direct(module: nn.Module) -> list[tuple[str, nn.Parameter | None]]:
    return list(module._parameters.items())
