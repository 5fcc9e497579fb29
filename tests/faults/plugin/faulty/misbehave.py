"""Does what its config says, then gives a model that adds."""

from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method

from . import faults


@dataclass(frozen=True, kw_only=True)
class Misbehave(Method):
    """A method with a fault.

    Args:
        how: the name of a function of `faults`; "nothing" behaves.
        nap: seconds to sleep before.
    """

    how: str = "nothing"
    nap: float = 0.0

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Misbehave; then all ones: the exact sum."""
        getattr(faults, self.how)(self.nap)
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.fill_(1.0)
        return backbone
