"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from .attach import attach
from .bottleneck import BottleneckConfig
from .config import AdapterConfig, CombinedConfig
from .conv import ConvConfig
from .convpass import ConvpassConfig
from .fact import FacTConfig
from .fusion import FusionConfig
from .large_sparse import LargeSparse
from .lora import LoRAConfig
from .peft_format import load_peft, save_peft
from .prefix import PrefixConfig, fold_prefix
from .presets import preset
from .prompts import PromptConfig
from .pruning import sparsify
from .rep_adapter import RepAdapterConfig
from .saving import load_adapters, save_adapters, size_report
from .sets import AdapterSet, adapter_sets
from .shared_parallel import StreamConfig
from .ssf import SSFConfig
from .tuned import BitFitConfig, NormTuningConfig
from .units import remove_dead_units

__all__ = [
    "AdapterConfig",
    "AdapterSet",
    "BitFitConfig",
    "BottleneckConfig",
    "CombinedConfig",
    "ConvConfig",
    "ConvpassConfig",
    "FacTConfig",
    "FusionConfig",
    "LargeSparse",
    "LoRAConfig",
    "NormTuningConfig",
    "PrefixConfig",
    "PromptConfig",
    "RepAdapterConfig",
    "SSFConfig",
    "StreamConfig",
    "adapter_sets",
    "attach",
    "fold_prefix",
    "load_adapters",
    "load_peft",
    "preset",
    "remove_dead_units",
    "save_adapters",
    "save_peft",
    "size_report",
    "sparsify",
]
