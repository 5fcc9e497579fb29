"""Ends the whole worker process."""

import os
from dataclasses import dataclass

from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class ToyCrash(Method):
    """A method that fails in its own way."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Never gives a model."""
        os._exit(3)
