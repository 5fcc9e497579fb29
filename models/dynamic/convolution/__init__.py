"""Dynamic convolutions: DY-Conv, CondConv, ODConv, KernelWarehouse and FDConv."""

from .base import DynamicConv2d
from .cond_conv import CondConv2d
from .config import ConvConfig
from .dy_conv import DyConv2d
from .fd_conv import FDConv2d, FrequencyConfig
from .geometry import Geometry
from .od_conv import ODConv2d
from .warehouse import release_cells
from .warehouse_config import WarehouseConfig

__all__ = [
    "CondConv2d",
    "ConvConfig",
    "DyConv2d",
    "DynamicConv2d",
    "FDConv2d",
    "FrequencyConfig",
    "Geometry",
    "ODConv2d",
    "WarehouseConfig",
    "release_cells",
]
