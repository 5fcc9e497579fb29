"""Mixture-of-Experts feed-forward and attention layers made from dense ones."""

from ..calibration.ffn_samples import Calibration, calibrate
from ..hub.parts import register_part
from .attention.config import AttnMoEConfig
from .checkpoint.part import MoELayers
from .config import MoEConfig
from .conversion.convert import convert
from .conversion.densifying.conversion import mixture_to_dense
from .conversion.restoration import to_dense
from .experts.interface import register_experts
from .further_splits import register_split
from .layer import MoEFFN
from .merging.merge import merge_experts
from .presets import PRESETS, preset
from .routing.choice_bias import update_biases
from .routing.health import LayerHealth, router_health
from .routing.kinds import register_router
from .routing.probe import LayerRouting, RoutingProbe, routing_probe
from .routing.statistics import active_params, aux_loss
from .routing.top_k import set_top_k, with_top_k
from .stock_export import export

__all__ = [
    "PRESETS",
    "AttnMoEConfig",
    "Calibration",
    "LayerHealth",
    "LayerRouting",
    "MoEConfig",
    "MoEFFN",
    "RoutingProbe",
    "active_params",
    "aux_loss",
    "calibrate",
    "convert",
    "export",
    "merge_experts",
    "mixture_to_dense",
    "preset",
    "register_experts",
    "register_router",
    "register_split",
    "router_health",
    "routing_probe",
    "set_top_k",
    "to_dense",
    "update_biases",
    "with_top_k",
]

register_part("moe", MoELayers())
