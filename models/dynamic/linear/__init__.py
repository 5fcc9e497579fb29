"""Mixtures of experts in the place of single linear layers."""

from .config import MixtureConfig
from .mixture import MixtureLinear

__all__ = ["MixtureConfig", "MixtureLinear"]
