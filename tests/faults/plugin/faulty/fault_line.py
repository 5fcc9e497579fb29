"""A line through the origin."""

import torch
from torch import nn

SOURCES = ()
TRAITS = ("parameters",)
RANDOM_WEIGHTS = True


def load(generator: torch.Generator, argument: str | None = None) -> nn.Module:
    """A linear map from four numbers to one."""
    line = nn.Linear(4, 1, bias=False)
    nn.init.normal_(line.weight, generator=generator)
    return line
