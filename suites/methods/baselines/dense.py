"""The backbone as it is, unchanged

The baseline of the language suite, where every method is training-free.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ...contracts.context import Context
from ...contracts.method import Method
from ...contracts.traits import READY_HEAD


@dataclass(frozen=True, kw_only=True)
class Dense(Method):
    """Nothing to configure."""

    stochastic: ClassVar[bool] = False

    @property
    def needs(self) -> frozenset[str]:
        """A head that nobody trains says nothing."""
        return frozenset({READY_HEAD})

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The backbone itself."""
        return backbone
