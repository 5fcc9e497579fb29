"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from ..hub.parts import register_folder_part
from ..sparsity.scoring import register_criterion
from .adapter_set import AdapterSet, adapter_sets
from .attachment import attach
from .config import AdapterConfig, CombinedConfig
from .files.part import AttachedSets
from .files.peft_format import load_peft, save_peft
from .files.saving import load_adapters, save_adapters, size_report
from .kinds.bottleneck import BottleneckConfig
from .kinds.conv import ConvConfig
from .kinds.convpass import ConvpassConfig
from .kinds.fact import FacTConfig
from .kinds.fusion import FusionConfig
from .kinds.gist_token import GistTokenConfig
from .kinds.lora import LoRAConfig
from .kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from .kinds.prefix import PrefixConfig, fold_prefix
from .kinds.prompts import PromptConfig
from .kinds.rep_adapter import RepAdapterConfig
from .kinds.shared_parallel import StreamConfig
from .kinds.ssf import SSFConfig
from .presets import preset
from .pruning.adapter_units import remove_dead_units
from .pruning.large_sparse import LargeSparse
from .pruning.sparsify import sparsify

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
    "GistTokenConfig",
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
    "register_criterion",
    "remove_dead_units",
    "save_adapters",
    "save_peft",
    "size_report",
    "sparsify",
]

register_folder_part("adapters", AttachedSets())
