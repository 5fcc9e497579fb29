"""Mixture-of-Experts feed-forward layers made from dense ones."""

from .calibration import Calibration, calibrate
from .config import MoEConfig
from .convert import convert
from .layer import MoEFFN
from .presets import PRESETS, preset
from .restore import to_dense
from .statistics import RouterStats, active_params, aux_loss, router_stats, watch

__all__ = [
    "PRESETS",
    "Calibration",
    "MoEConfig",
    "MoEFFN",
    "RouterStats",
    "active_params",
    "aux_loss",
    "calibrate",
    "convert",
    "preset",
    "router_stats",
    "to_dense",
    "watch",
]
