"""The wrapper that all adapters are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..anatomy import Wrapper, check_own_weight
from ..errors import ModelError

_MERGES = "_sparsebench_merges"  # on a module without wrappers: how many adapters are merged into it
_BASE = "base_layer"


class AdapterLayer(Wrapper):
    """A frozen module `base_layer` and an adapter: everything of this module that lies outside `base_layer`.

    `owner` is the name of the set it belongs to, `place` the name of the adapted site in the model without wrappers.
    """

    owner: str = ""
    place: str = ""
    enabled: bool = True

    linear: ClassVar[bool] = False
    """Whether the adapter can be merged into the parameters of `base_layer`: then `merge_into` does it."""
    additive: ClassVar[bool] = False
    """Whether it adds a term to the output that does not depend on that output, so that merging commutes."""
    observes: ClassVar[bool] = False
    """Whether it holds no adapter and only looks at what passes, for the other layers of its set."""
    former_names: ClassVar[Mapping[str, str]] = {}
    """Today's names of added modules by those that adapter files of format 1 have for them."""

    @property
    def weight(self) -> Tensor:
        """The weight of `base_layer`, for models that ask a layer for its dtype (T5)."""
        return self.base_layer.weight  # type: ignore[return-value]

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """The adapted output, or that of `base_layer` where the set is disabled."""
        if self.enabled:
            return self.adapted(*args, **keywords)
        return self.base_layer(*args, **keywords)

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """The output with the adapter."""
        raise NotImplementedError(f"{type(self).__name__} must implement adapted")

    def merge_into(self, base_layer: nn.Module) -> None:
        """Change the parameters of a module without wrappers so that it gives what this layer gives.

        Args:
            base_layer: the module.

        Raises:
            ModelError: the layer is not linear in its input.
        """
        raise ModelError(f"{type(self).__name__} is not linear in its input and cannot be merged into a weight")

    def adapter_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Names and modules of what was added to `base_layer`."""
        for name, child in self.named_children():
            if name != _BASE:
                yield name, child

    def adapter_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters of the adapter."""
        for name, value in self.named_parameters():
            if not name.startswith(f"{_BASE}."):
                yield name, value

    def adapter_state(self) -> dict[str, Tensor]:
        """Parameters and buffers of the adapter by name."""
        state = self.state_dict(keep_vars=True)
        return {name: value for name, value in state.items() if not name.startswith(f"{_BASE}.")}

    def match_mode(self) -> None:
        """Put the adapter in the mode, training or evaluation, that `base_layer` is in."""
        self.training = self.base_layer.training
        for _, module in self.adapter_modules():
            module.train(self.training)

    def check_mergeable(self) -> None:
        """Raise `ModelError` where merging would change the function."""
        if not self.linear:
            self.merge_into(self.base_layer)
        inner = self.base_layer
        while isinstance(inner, Wrapper):
            if isinstance(inner, AdapterLayer) and not (self.additive and inner.additive):
                raise ModelError(f"{self.place}: adapters {inner.owner!r} lie below {self.owner!r}: merge those first")
            inner = inner.base_layer
        check_own_weight(inner, self.place)

    @torch.no_grad()
    def merge(self) -> None:
        """Merge the adapter into the module below; `unmerge` gives the old parameters back, bit for bit."""
        base_layer = self.get_base_layer()
        # Copies, not the inverse of the update: subtracting what was added would leave rounding errors.
        self._before: dict[str, Tensor | None] = {}
        for name, value in base_layer._parameters.items():
            self._before[name] = None if value is None else value.detach().clone()
        self._depth = getattr(base_layer, _MERGES, 0) + 1
        setattr(base_layer, _MERGES, self._depth)
        self.merge_into(base_layer)

    def can_unmerge(self) -> bool:
        """Whether the module below is as `merge` left it: nothing merged since, parameters of the same form."""
        base_layer = self.get_base_layer()
        if getattr(base_layer, _MERGES, 0) != self._depth or base_layer._parameters.keys() != self._before.keys():
            return False
        for name, value in self._before.items():
            now = base_layer._parameters[name]
            # A bias may have come by merging. What was packed since is another kind of tensor, or has another dtype.
            if value is not None and now is not None and _form(now.data) != _form(value):
                return False
        return True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Give the module the parameters it had before `merge`."""
        base_layer = self.get_base_layer()
        if self._depth == 1:
            delattr(base_layer, _MERGES)
        else:
            setattr(base_layer, _MERGES, self._depth - 1)
        for name, value in self._before.items():
            now = getattr(base_layer, name)
            if value is None:  # merging gave the module a bias
                setattr(base_layer, name, None)
            elif now is None:
                setattr(base_layer, name, nn.Parameter(value, requires_grad=False))
            else:
                now.copy_(value)
        del self._before, self._depth

    def get_base_layer(self) -> nn.Module:
        """The module below all wrappers."""
        inner = self.base_layer
        while isinstance(inner, Wrapper):
            inner = inner.base_layer
        return inner


def _form(value: Tensor) -> tuple[type, torch.Size, torch.dtype]:
    return type(value), value.shape, value.dtype


class FrozenNorm(Wrapper):
    """A batch norm whose running statistics stay as they are: `train()` of the model leaves it in eval mode."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.match_mode()

    def match_mode(self) -> None:
        """Take over the mode of `base_layer`, which goes into eval mode."""
        self.train(self.base_layer.training)

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """Normalise with the running statistics."""
        return self.base_layer(*args, **keywords)

    def train(self, mode: bool = True) -> FrozenNorm:
        """Set the mode of this wrapper only."""
        super().train(mode)
        self.base_layer.eval()
        return self
