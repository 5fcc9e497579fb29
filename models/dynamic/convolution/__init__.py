"""Dynamic convolutions: DY-Conv, CondConv, ODConv and dynamic convolution decomposition."""

from .base import DynamicConv2d
from .cond_conv import CondConv2d
from .config import ConvConfig
from .dcd import DCDConv2d
from .dy_conv import DyConv2d
from .geometry import Geometry
from .od_conv import ODConv2d

__all__ = ["CondConv2d", "ConvConfig", "DCDConv2d", "DyConv2d", "DynamicConv2d", "Geometry", "ODConv2d"]
