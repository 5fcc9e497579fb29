"""Draw the weights, sleep, and write a line that the cell has come to its end."""

import os
import time
from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method


@dataclass(frozen=True, kw_only=True)
class Nap(Method):
    """Random weights after some seconds of sleep."""

    seconds: float = 1.0

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Other weights for each seed."""
        time.sleep(self.seconds)
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=context.generator("nap")))
        line = f"{self.seconds} {context.seed} {os.environ.get('NAPBENCH_NODE', 'here')} {time.time():.3f}\n"
        log = os.open(os.environ["NAPBENCH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(log, line.encode())  # one call: lines of several processes do not mix
        os.close(log)
        return backbone
