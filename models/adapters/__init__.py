"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..hub.parts import register_folder_part
from ..sparsity.scoring import register_criterion
from .adapter_set import AdapterSet, adapter_sets
from .attachment import attach
from .by_name import attach_by_name
from .config import AdapterConfig, CombinedConfig
from .files.part import AttachedSets
from .files.peft_format import load_peft, save_peft
from .files.saving import load_adapters, save_adapters, size_report
from .kinds.binary import BinaryConfig
from .kinds.bottleneck import BottleneckConfig
from .kinds.by_name import ByNameConfig
from .kinds.conv import ConvConfig
from .kinds.convpass import ConvpassConfig
from .kinds.dora import DoRAConfig
from .kinds.fact import FacTConfig
from .kinds.fusion import FusionConfig
from .kinds.gist_token import GistTokenConfig
from .kinds.ia3 import IA3Config
from .kinds.lora import LoRAConfig
from .kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from .kinds.prefix import PrefixConfig, fold_prefix
from .kinds.prompts import PromptConfig
from .kinds.rep_adapter import RepAdapterConfig
from .kinds.shared_parallel import StreamConfig
from .kinds.ssf import SSFConfig
from .kinds.vera import VeRAConfig
from .presets import preset
from .pruning.adapter_units import remove_dead_units
from .pruning.large_sparse import LargeSparse
from .pruning.sparsify import sparsify

if TYPE_CHECKING:
    from .files.adapterhub import load_adapterhub, save_adapterhub

__all__ = [
    "AdapterConfig",
    "AdapterSet",
    "BinaryConfig",
    "BitFitConfig",
    "BottleneckConfig",
    "ByNameConfig",
    "CombinedConfig",
    "ConvConfig",
    "ConvpassConfig",
    "DoRAConfig",
    "FacTConfig",
    "FusionConfig",
    "GistTokenConfig",
    "IA3Config",
    "LargeSparse",
    "LoRAConfig",
    "NormTuningConfig",
    "PrefixConfig",
    "PromptConfig",
    "RepAdapterConfig",
    "SSFConfig",
    "StreamConfig",
    "VeRAConfig",
    "adapter_sets",
    "attach",
    "attach_by_name",
    "fold_prefix",
    "load_adapterhub",
    "load_adapters",
    "load_peft",
    "preset",
    "register_criterion",
    "remove_dead_units",
    "save_adapterhub",
    "save_adapters",
    "save_peft",
    "size_report",
    "sparsify",
]

register_folder_part("adapters", AttachedSets())

_LATER = {"load_adapterhub": ".files.adapterhub", "save_adapterhub": ".files.adapterhub"}
"""What is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
