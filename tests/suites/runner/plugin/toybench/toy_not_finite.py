"""Gives a score that is not finite."""

import math
from dataclasses import dataclass

from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class ToyNotFinite(Method):
    """A method that fails in its own way."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Never gives a model."""
        for parameter in backbone.parameters():
            nn.init.constant_(parameter, math.nan)
        return backbone
