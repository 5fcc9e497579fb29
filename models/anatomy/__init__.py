"""One view of any backbone: ordered blocks, each with its attention, MLP, norms and linear sites.

Transforms work on this view and never on module names. A describer knows the names of one family and builds the view.
Those of other libraries are files in `describers/`, each of which says in `SERVES` which classes it is for; models of
our own and of users register theirs with `register_describer`.

The view can be written to: weights of experts (`Experts.set_weights`), fewer experts (`Experts.keep`), fewer blocks
(`Anatomy.remove`), blocks without FFN or attention (`Block.remove_mlp`, `Block.remove_attention`).
"""

from .experts import (
    Experts,
    ExpertWeights,
    InterleavedExperts,
    ListedExperts,
    StackedExperts,
    table_at,
    tell_counts,
)
from .linear_layers import LinearView, check_own_weight, has_linear_view, is_linear, linear_view
from .parts import CACHE_NAMES, MLP, Attention, DescribesAttention, DescribesMLP, Prefixed
from .registry import UnknownAnatomy, describe, register_describer, unwrapped, used_describers
from .sites import (
    Site,
    Wrapper,
    branch_sites,
    has_parameters,
    head_at,
    head_of,
    inner_sites,
    is_wrapper,
    see_through,
)
from .stock_mixtures import expert_sizes, stock_experts
from .views import Anatomy, Block

__all__ = [
    "CACHE_NAMES",
    "MLP",
    "Anatomy",
    "Attention",
    "Block",
    "DescribesAttention",
    "DescribesMLP",
    "ExpertWeights",
    "Experts",
    "InterleavedExperts",
    "LinearView",
    "ListedExperts",
    "Prefixed",
    "Site",
    "StackedExperts",
    "UnknownAnatomy",
    "Wrapper",
    "branch_sites",
    "check_own_weight",
    "describe",
    "expert_sizes",
    "has_linear_view",
    "has_parameters",
    "head_at",
    "head_of",
    "inner_sites",
    "is_linear",
    "is_wrapper",
    "linear_view",
    "register_describer",
    "see_through",
    "stock_experts",
    "table_at",
    "tell_counts",
    "unwrapped",
    "used_describers",
]
