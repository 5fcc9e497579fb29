"""Two models that learn together (iDAT), GIST's token, which learns inside of one, and how spread adapters are."""

from .ensemble import Ensemble, channel_map
from .inverse import InverseDistillation
from .presets import JointSettings, preset
from .spread import WeightSpread, adapter_weights, compare_spread, weight_spread
from .token_distillation import TokenDistillation, token_logits

__all__ = [
    "Ensemble",
    "InverseDistillation",
    "JointSettings",
    "TokenDistillation",
    "WeightSpread",
    "adapter_weights",
    "channel_map",
    "compare_spread",
    "preset",
    "token_logits",
    "weight_spread",
]
