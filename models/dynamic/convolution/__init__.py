"""Dynamic convolutions: DY-Conv, CondConv, ODConv and KernelWarehouse."""

from .base import DynamicConv2d
from .cond_conv import CondConv2d
from .config import ConvConfig
from .dy_conv import DyConv2d
from .geometry import Geometry
from .od_conv import ODConv2d
from .warehouse import release_cells
from .warehouse_config import WarehouseConfig

__all__ = [
    "CondConv2d",
    "ConvConfig",
    "DyConv2d",
    "DynamicConv2d",
    "Geometry",
    "ODConv2d",
    "WarehouseConfig",
    "release_cells",
]
