"""Compression of mixtures of experts: fewer experts and layers (`trimming`), smaller weights (`slimming`)."""

from .slimming.expert_linears import LinearMap, linear_maps
from .slimming.pruning import PruningConfig, prune
from .slimming.report import PrunedLinear, PruningReport

__all__ = ["LinearMap", "PrunedLinear", "PruningConfig", "PruningReport", "linear_maps", "prune"]
