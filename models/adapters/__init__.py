"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from .attach import attach
from .bottleneck import BottleneckConfig
from .config import CombinedConfig
from .conv import ConvConfig
from .large_sparse import LargeSparse
from .lora import LoRAConfig
from .pruning import sparsify
from .sets import AdapterSet, adapter_sets
from .units import remove_dead_units

__all__ = [
    "AdapterSet",
    "BottleneckConfig",
    "CombinedConfig",
    "ConvConfig",
    "LargeSparse",
    "LoRAConfig",
    "adapter_sets",
    "attach",
    "remove_dead_units",
    "sparsify",
]
