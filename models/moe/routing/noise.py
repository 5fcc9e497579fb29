"""Routing noise, switched off for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from .config import RoutingConfig
from .statistics import Routed


def remove_noise(model: nn.Module) -> int:
    """Take the noise off all routers of a converted model, in place: its weights, and what the configurations say.

    In evaluation nothing changes, since routers draw no noise there. Returns the number of routers that had noise; it
    is 0 for stock mixtures, which have none.
    """
    found = 0
    for module in model.modules():
        layer: Any = module
        if not isinstance(module, Routed) or module.router.noise is None:
            continue
        module.router.noise = None
        if isinstance(layer.config, RoutingConfig):
            layer.config = replace(layer.config, noise="none")
        found += 1
    return found
