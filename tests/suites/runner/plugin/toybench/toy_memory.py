"""Wants more memory than there is."""

from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class ToyMemory(Method):
    """A method that fails in its own way."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Never gives a model."""
        torch.zeros(1 << 40)
        return backbone
