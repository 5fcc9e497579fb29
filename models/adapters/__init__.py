"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from .attach import attach
from .bottleneck import BottleneckConfig
from .config import CombinedConfig
from .conv import ConvConfig
from .large_sparse import LargeSparse
from .lora import LoRAConfig
from .peft_format import load_peft, save_peft
from .prefix import PrefixConfig, fold_prefix
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
    "PrefixConfig",
    "adapter_sets",
    "attach",
    "fold_prefix",
    "load_peft",
    "remove_dead_units",
    "save_peft",
    "sparsify",
]
