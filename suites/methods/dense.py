"""The backbone as it is, unchanged

The baseline of the language suite, where every method is training-free.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ..contracts.context import Context
from ..contracts.method import Method
from ..contracts.traits import Backbone, TaskTraits


@dataclass(frozen=True, kw_only=True)
class Dense(Method):
    """Nothing to configure."""

    stochastic: ClassVar[bool] = False

    def unsupported(self, task: type[TaskTraits], backbone: Backbone) -> str | None:
        """A head that nobody trains says nothing."""
        if task.new_head:
            return "the head is random without training; the trained baseline is linear_probe"
        return None

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone itself."""
        return backbone
