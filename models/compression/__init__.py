"""Compression of mixtures of experts: fewer experts and layers (`trimming`), smaller weights (`slimming`)."""

from ..hub.parts import register_part
from .slimming.expert_linears import LinearMap, linear_maps
from .slimming.pruning import PruningConfig, prune
from .slimming.report import PrunedLinear, PruningReport
from .trimming.experts.drop import ExpertDropReport, expert_drop
from .trimming.experts.mean_outputs import replace_by_mean
from .trimming.experts.merging import MergeReport, merge_similar
from .trimming.experts.saved_form import TrimmedMixtures

__all__ = [
    "ExpertDropReport",
    "LinearMap",
    "MergeReport",
    "PrunedLinear",
    "PruningConfig",
    "PruningReport",
    "expert_drop",
    "linear_maps",
    "merge_similar",
    "prune",
    "replace_by_mean",
]

register_part("compression", TrimmedMixtures())
