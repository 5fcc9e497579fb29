"""Layers whose weights depend on their input, wholly or, with a partition, in part (PAD-Net)."""

from ..hub.parts import register_folder_part, register_part
from .config import DynamicConfig
from .conversion import make_dynamic
from .convolution import ConvConfig, FrequencyConfig, WarehouseConfig, release_cells
from .layer import DynamicLayer
from .linear import MixtureConfig, MixtureLinear
from .mode_partition import ModePartition, Scale
from .partially_dynamic import PartiallyDynamic
from .partitioning.compacting import CompactReport, compact
from .partitioning.idle import freeze_idle
from .partitioning.part import DynamicParts
from .partitioning.partition import partition
from .partitioning.parts import dynamic_layers
from .partitioning.report import PartitionReport
from .partitioning.warm_up import WarmUp
from .temperature import TemperatureSchedule, anneal
from .timm_cond_conv import TimmCondConv

__all__ = [
    "CompactReport",
    "ConvConfig",
    "DynamicConfig",
    "DynamicLayer",
    "FrequencyConfig",
    "MixtureConfig",
    "MixtureLinear",
    "ModePartition",
    "PartiallyDynamic",
    "PartitionReport",
    "Scale",
    "TemperatureSchedule",
    "TimmCondConv",
    "WarehouseConfig",
    "WarmUp",
    "anneal",
    "compact",
    "dynamic_layers",
    "freeze_idle",
    "make_dynamic",
    "partition",
    "release_cells",
]

_parts = DynamicParts()
register_part("dynamic", _parts)
register_folder_part("dynamic", _parts)
