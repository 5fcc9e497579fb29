"""Supports nothing, and says why."""

from dataclasses import dataclass

from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.traits import Backbone, TaskTraits


@dataclass(frozen=True, kw_only=True)
class ToyPicky(Method):
    """A method that is never applicable."""

    def unsupported(self, task: type[TaskTraits], backbone: Backbone) -> str | None:
        """Always a reason."""
        return f"{backbone.name} has no spokes"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Never called."""
        raise AssertionError("prepare was called for a pair that is not supported")
