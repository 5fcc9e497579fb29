"""Replacing parameters of a model so that all of it, or nothing, is done."""

from __future__ import annotations

from torch import Tensor, nn


class Changes:
    """Parameters that were replaced; as a context it puts them back when an error leaves it."""

    def __init__(self) -> None:
        self._old: dict[tuple[int, str], tuple[nn.Module, Tensor]] = {}

    def replace(self, parent: nn.Module, name: str, value: nn.Parameter) -> None:
        """Put `value` where the parameter `name` of `parent` is."""
        self._old.setdefault((id(parent), name), (parent, getattr(parent, name)))
        setattr(parent, name, value)

    def __enter__(self) -> Changes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            for (_, name), (parent, value) in self._old.items():
                setattr(parent, name, value)
        self._old.clear()
