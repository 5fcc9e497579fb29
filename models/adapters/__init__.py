"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from .attach import attach
from .bottleneck import BottleneckConfig
from .config import CombinedConfig
from .conv import ConvConfig
from .lora import LoRAConfig
from .pruning import LargeSparse, sparsify
from .sets import AdapterSet, adapter_sets

__all__ = [
    "AdapterSet",
    "BottleneckConfig",
    "CombinedConfig",
    "ConvConfig",
    "LargeSparse",
    "LoRAConfig",
    "adapter_sets",
    "attach",
    "sparsify",
]
