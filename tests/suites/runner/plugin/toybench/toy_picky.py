"""Supports nothing, and says why."""

from dataclasses import dataclass

from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class ToyPicky(Method):
    """A method that is never applicable."""

    @property
    def needs(self) -> frozenset[str]:
        """What no backbone has."""
        return frozenset({"spokes"})

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Never called."""
        raise AssertionError("prepare was called for a pair that is not supported")
