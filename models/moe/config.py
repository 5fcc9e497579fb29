"""Configuration of a dense to MoE conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ModelError, check_choice
from .attention.config import AttnMoEConfig
from .further_splits import FURTHER, Need, SplitName
from .routing.config import RouterInit, RoutingConfig, check_positive
from .routing.kinds import router_class

Matrix = Literal["up", "gate"]
Metric = Literal["l2", "cos"]
Importance = Literal["activation", "gradient"]
Clusters = Literal["documents", "tokens"]

BY_IMPORTANCE = ("gradient", "gradient_share", "residual", "transport")
"""Splits that deal neurons out by their importance to clusters of the calibration data."""
RELEASED_STARTS = 10
"""Starts of k-means in the code of LLaMA-MoE v1 and v2 (the default of its libraries)."""
LOOK_AT_INPUTS = ("energy", "regressed", "centroids")
"""Starts of a router that are made of the calibration data."""
_BY_ACTIVATION = ("coact", "cmoe")
"""Splits that group neurons by the tokens on which they are active."""


@dataclass(frozen=True, kw_only=True)
class MoEConfig(RoutingConfig):
    """How to cut the hidden neurons of an FFN into experts, and how tokens are routed to them.

    The neurons form `num_experts` blocks of equal size (sizes differ by at most 1). `num_shared` of them are always on,
    unweighted; `top_k` of the other N = num_experts - num_shared are chosen per token, so that
    (num_shared + top_k) / num_experts of the neurons are active.

    With split "whole" nothing is cut: every expert is a copy of the whole FFN, so that the model grows (upcycling,
    `conversion/upcycling.py`), or the FFN of another model (`merging/`). No block is shared then, and "exact" is a
    scale of 1: with weights that sum to 1, equal experts give back the dense layer, whichever of them are chosen.

    The choice, the weights and the balance (`aux_loss` returns its loss) are the fields of `RoutingConfig`. Of FFNs
    also: `scale` "calibrated" is, per layer, the least-squares fit to the dense output on the calibration tokens.

    Attributes:
        num_shared: blocks that are always on.
        split: which neurons go together; each is described in its file under `splits/`. `register_split` adds one.
        cluster_on: which matrix "cluster" compares.
        metric: how it compares rows.
        importance: ranks the shared neurons and feeds "gradient", "gradient_share", "residual" and "transport":
            "gradient" is the mean of |h dL/dh|, "activation" the mean of |h| times the norm of the neuron's column of
            the down projection, which needs no backward pass. Unless given: "gradient" for those four splits, else
            "activation".
        clusters: the text clusters whose importance these four splits use: "documents" (LLaMA-MoE v1) or "tokens" (v2:
            clusters of FFN inputs).
        clustering_starts: k-means keeps the best of so many runs. None: 10 as in the released code where `faithful`,
            else 1, since ten explain a few per cent more of what little the clusters of real weights explain, in ten
            times the time.
        overlap: routed experts of "residual" may have neurons in common.
        reinit: the fraction of each copy's neurons that start at random again (split "whole" only).
        router: its kind (`routing/router.py`). `register_router` adds one.
        router_init: how it starts (`conversion/router_init.py`).
        align: match mean and variance of every output channel to the dense layer on the calibration tokens (v2's
            distribution alignment; the offset is added once, whatever the scale).
        capacity: in training an expert takes at most ceil(capacity * tokens * k / N) tokens; the rest are dropped.
        layers: the blocks of the model to convert.
        attn: also convert the attention of `layers`.
        seed: of all random numbers.

    Raises:
        ModelError: a combination that cannot work.
    """

    num_shared: int = 0
    split: str = "random"
    cluster_on: Matrix = "up"
    metric: Metric = "l2"
    importance: Importance = None  # type: ignore[assignment] - filled in from `split`
    clusters: Clusters = "documents"
    clustering_starts: int | None = None
    overlap: bool = False
    reinit: float = 0.0
    router: str = "linear"
    router_init: RouterInit = "random"
    align: bool = False
    capacity: float | None = None
    layers: Literal["all"] | tuple[int, ...] = "all"
    attn: AttnMoEConfig | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._fill_in()
        if self.num_shared < 0:
            raise ModelError(f"num_shared={self.num_shared} cannot be negative")
        if 0 < self.num_experts <= self.num_shared:
            raise ModelError(
                f"num_shared={self.num_shared} of num_experts={self.num_experts} leave none to choose from: num_shared "
                f"must lie in 0..{self.num_experts - 1}"
            )
        super().__post_init__()
        if self.capacity is not None:
            check_positive("capacity", self.capacity)
            if self.densemixer:
                raise ModelError("densemixer asks every expert about every token: it cannot go with a capacity")
        self._check_split()
        self._check_router()
        self._check_layers()

    @property
    def num_routed(self) -> int:
        """Number of experts that the router chooses from, N: those that are not always on."""
        return self.num_experts - self.num_shared

    @property
    def scale_value(self) -> float:
        """The factor s of the routed output; for "calibrated", what the fit starts from."""
        if self.split == "whole" and isinstance(self.scale, str):
            return 1.0
        return super().scale_value

    @property
    def kmeans_starts(self) -> int:
        """How many runs of k-means there are: `clustering_starts` or its default."""
        if self.clustering_starts is not None:
            return self.clustering_starts
        return RELEASED_STARTS if self.faithful else 1

    @property
    def needs(self) -> frozenset[Need]:
        """What a calibration must hold to be of use to this conversion."""
        ranks_shared = self.num_shared > 0 and self.split not in ("residual", "cmoe")
        if ranks_shared:
            return self.requires.union((self._needed_by_importance,))
        return self.requires

    @property
    def requires(self) -> frozenset[Need]:
        """What the conversion cannot go without: `needs` but for the ranking of shared neurons, then random ones."""
        found: set[Need] = set()
        if self.split in BY_IMPORTANCE:
            found.add("activations")
            found.add(self._needed_by_importance)
        if self.split not in get_args(SplitName):
            found |= FURTHER.get(self.split).needs
        from_neurons = router_class(self.router).from_neurons
        if self.split in _BY_ACTIVATION or from_neurons or self.router_init in LOOK_AT_INPUTS:
            found.add("activations")
        if self.scale == "calibrated" or self.align:
            found.add("activations")
        return frozenset(found)

    @property
    def _needed_by_importance(self) -> Need:
        return "gradients" if self.importance == "gradient" else "activations"

    def _fill_in(self) -> None:
        """Put the default of `importance` in, and a tuple in the place of a list of layers."""
        if self.importance is None:
            default = "gradient" if self.split in BY_IMPORTANCE else "activation"
            object.__setattr__(self, "importance", default)
        if isinstance(self.layers, list):
            object.__setattr__(self, "layers", tuple(self.layers))

    def _check_split(self) -> None:
        if self.split not in get_args(SplitName):
            FURTHER.get(self.split)
        check_choice("cluster_on", self.cluster_on, get_args(Matrix))
        check_choice("metric", self.metric, get_args(Metric))
        check_choice("importance", self.importance, get_args(Importance))
        check_choice("clusters", self.clusters, get_args(Clusters))
        if self.clustering_starts is not None and self.clustering_starts < 1:
            raise ModelError(f"clustering_starts={self.clustering_starts} must be 1 or more")
        if self.split == "residual" and self.num_shared == 0:
            raise ModelError("split='residual' moves neurons to a shared block: set num_shared to 1 or more")
        self._check_whole()

    def _check_whole(self) -> None:
        if not 0 <= self.reinit <= 1:
            raise ModelError(f"reinit={self.reinit!r} must lie from 0 to 1: the fraction of neurons that start again")
        if self.split != "whole":
            if self.reinit:
                raise ModelError(f"reinit={self.reinit!r} is for copies of the FFN: set split='whole'")
            return
        if self.num_shared:
            raise ModelError(
                "split='whole' makes every expert a whole FFN: a shared one would double it (num_shared=0)"
            )
        if self.scale in ("paper", "norm"):
            raise ModelError(f"scale={self.scale!r} is for parts of an FFN: with split='whole' use 'exact' or a number")
        if self.router_init not in ("random", "zeros"):
            raise ModelError(
                f"router_init={self.router_init!r} makes rows from different neurons, and copies of an FFN have the "
                "same: use 'random' or 'zeros'"
            )

    def _check_router(self) -> None:
        check_choice("router_init", self.router_init, get_args(RouterInit))
        starts = router_class(self.router).starts
        if self.router_init not in starts:
            raise ModelError(
                f"router={self.router!r} cannot start from router_init={self.router_init!r}: use {_or(starts)}"
            )
        serves_clusters = self.split in BY_IMPORTANCE and self.clusters == "tokens"
        if self.router_init == "centroids" and not serves_clusters:
            raise ModelError(
                "router_init='centroids' needs experts that belong to clusters of FFN inputs: clusters='tokens' with "
                f"split={_or(BY_IMPORTANCE)}; for split={self.split!r} use router_init='energy'"
            )

    def _check_layers(self) -> None:
        if self.layers == "all":
            return
        valid = isinstance(self.layers, tuple) and all(isinstance(index, int) and index >= 0 for index in self.layers)
        if not valid or not self.layers or len(set(self.layers)) < len(self.layers):
            raise ModelError(f"layers={self.layers!r} must be 'all' or different block indices from 0 on")


def _or(options: tuple[str, ...]) -> str:
    return " or ".join(repr(option) for option in options)
