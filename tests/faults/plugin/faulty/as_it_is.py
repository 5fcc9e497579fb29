"""Changes nothing, slowly."""

import os
import time
from dataclasses import dataclass

from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class AsItIs(Method):
    """The backbone as it is; the environment says how long that takes, since it is no part of the cell."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The same model."""
        time.sleep(float(os.environ.get("FAULTY_NAP", "0")))
        return backbone
