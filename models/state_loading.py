"""Modules that look at a state dict before torch loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn


class Problems(NamedTuple):
    """The lists of `nn.Module.load_state_dict`: names that are missing, names that are unexpected, and messages."""

    missing: list[str]
    unexpected: list[str]
    errors: list[str]


class PreparesLoading(nn.Module):
    """A module that changes itself, or its copy of a state dict, before torch puts the values into it."""

    def prepare_loading(
        self, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any], problems: Problems
    ) -> None:
        """Take the form that a state needs, and take out what torch does not know.

        Args:
            state: a copy of the state dict, which may be changed.
            prefix: what the names of this module begin with.
            metadata: what the state says of this module besides its tensors; empty where it says nothing.
            problems: where to say what does not fit.
        """
        raise NotImplementedError

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        state = dict(state_dict)
        self.prepare_loading(state, prefix, local_metadata, Problems(missing_keys, unexpected_keys, error_msgs))
        super()._load_from_state_dict(state, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
