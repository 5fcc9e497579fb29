"""Mixture-of-Experts feed-forward layers made from dense ones."""

from .calibration import calibrate
from .config import MoEConfig
from .convert import convert, to_dense
from .layer import MoEFFN

__all__ = ["MoEConfig", "MoEFFN", "calibrate", "convert", "to_dense"]
