"""Modules that several adapter layers hold."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..sparsity.masked import MaskedLinear


class Shared(nn.Module):
    """A module that is in a state dict once, under the first of its names.

    Files of tensors cannot hold one tensor under several names. A state dict that has all names loads, too. It has no
    modules inside of it, which would have their names checked each time.
    """

    _written_as = ""
    _loaded_with: list[str] | None = None

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """As of any module, but nothing new where `destination` has this one already."""
        if destination is not None and self._is_in(destination):
            return destination
        self._written_as = prefix
        keywords: dict[str, Any] = {"destination": destination, "prefix": prefix, "keep_vars": keep_vars}
        return super().state_dict(*args, **keywords)

    def _is_in(self, destination: dict[str, Any]) -> bool:
        name, value = next(iter(self.named_parameters()))
        other = destination.get(f"{self._written_as}{name}")
        return other is not None and value.is_set_to(other)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # One call of `load_state_dict` has one list of what is missing, and comes here once for each name.
        if any(key.startswith(prefix) for key in state_dict):
            self._loaded_with = missing_keys
        elif self._loaded_with is missing_keys:
            return
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class SharedLinear(Shared, nn.Linear):
    """A linear layer that several adapter layers hold."""


class SharedMasked(Shared, MaskedLinear):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A linear layer that several adapter layers hold, and that can be pruned."""
