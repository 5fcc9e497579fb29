"""Raises an exception with a message."""

from dataclasses import dataclass

from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class ToyRaise(Method):
    """A method that fails in its own way."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Never gives a model."""
        raise RuntimeError("the toy broke")
