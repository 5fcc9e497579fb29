"""Layers whose weights depend on their input, wholly or, with a partition, in part (PAD-Net)."""

from .config import DynamicConfig
from .conversion import make_dynamic
from .convolution import ConvConfig
from .layer import DynamicLayer, PartiallyDynamic
from .mode_partition import ModePartition, Scale
from .temperature import TemperatureSchedule, anneal

__all__ = [
    "ConvConfig",
    "DynamicConfig",
    "DynamicLayer",
    "ModePartition",
    "PartiallyDynamic",
    "Scale",
    "TemperatureSchedule",
    "anneal",
    "make_dynamic",
]
