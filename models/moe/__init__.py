"""Mixture-of-Experts feed-forward and attention layers made from dense ones."""

from .attention_config import AttnMoEConfig
from .calibration import Calibration, calibrate
from .config import MoEConfig
from .convert import convert
from .experts.interface import register_experts
from .export import export
from .layer import MoEFFN
from .presets import PRESETS, preset
from .pretrained import from_pretrained, save_pretrained
from .restore import to_dense
from .statistics import RouterStats, active_params, aux_loss, router_stats, watch

__all__ = [
    "PRESETS",
    "AttnMoEConfig",
    "Calibration",
    "MoEConfig",
    "MoEFFN",
    "RouterStats",
    "active_params",
    "aux_loss",
    "calibrate",
    "convert",
    "export",
    "from_pretrained",
    "preset",
    "register_experts",
    "router_stats",
    "save_pretrained",
    "to_dense",
    "watch",
]
