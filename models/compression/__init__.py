"""Compression of mixtures of experts: fewer experts and layers (`trimming`), fewer weights (`slimming`), fewer bits
(`quantisation`).
"""

from ..hub.parts import register_folder_part, register_part
from .linear.expert_linears import linear_maps
from .linear.linear_map import LinearMap
from .quantisation import Grid, QuantisationReport, QuantiseConfig, dequantise, quantise
from .quantisation.files.part import PackedWeights
from .slimming.pruning import PruningConfig, prune
from .slimming.report import PrunedLinear, PruningReport
from .trimming.experts.drop import ExpertDropReport, expert_drop
from .trimming.experts.mean_outputs import replace_by_mean
from .trimming.experts.merging import MergeReport, merge_similar
from .trimming.experts.saved_form import TrimmedMixtures

__all__ = [
    "ExpertDropReport",
    "Grid",
    "LinearMap",
    "MergeReport",
    "PrunedLinear",
    "PruningConfig",
    "PruningReport",
    "QuantisationReport",
    "QuantiseConfig",
    "dequantise",
    "expert_drop",
    "linear_maps",
    "merge_similar",
    "prune",
    "quantise",
    "replace_by_mean",
]

register_part("compression", TrimmedMixtures())
register_folder_part("packed", PackedWeights())
