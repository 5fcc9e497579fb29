"""Routing noise: weakened while a model trains, and switched off for good."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import nn

from ...errors import ModelError
from .config import RoutingConfig
from .statistics import Routed


def scale_noise(model: nn.Module, factor: float) -> int:
    """Multiply the standard deviation of the noise of all routers of a converted model, in place.

    The factor takes the place of an earlier one. At 0 no noise is drawn, and the weights that it is learned with get no
    gradient; the routers then choose in training as they do in evaluation. A model that is saved and loaded again
    starts at 1.

    Args:
        model: a converted model; others have no noise.
        factor: 0 or more; 1 is the noise as it is learned.

    Returns:
        The number of routers that have noise.

    Raises:
        ModelError: a factor below 0, or not finite.
    """
    if not 0 <= factor < math.inf:
        raise ModelError(f"the factor of the noise must be 0 or more, not {factor!r}")
    routers = [module.router for module in model.modules() if isinstance(module, Routed)]
    noisy = [router for router in routers if router.noise is not None]
    for router in noisy:
        router.noise_scale = factor
    return len(noisy)


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
