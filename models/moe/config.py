"""Configuration of a dense to MoE conversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import ModelError, check_choice

if TYPE_CHECKING:
    from .attention.config import AttnMoEConfig

Split = Literal["random", "sequential", "cluster", "coact", "gradient", "gradient_share", "residual", "carved"]
Matrix = Literal["up", "gate"]
Metric = Literal["l2", "cos"]
Importance = Literal["activation", "gradient"]
Clusters = Literal["documents", "tokens"]
Router = Literal["linear", "mlp", "glu"]
RouterInit = Literal["random", "zeros", "energy", "centroids", "analytic"]
Score = Literal["topk_softmax", "softmax_topk", "sigmoid", "none"]
Noise = Literal["none", "shazeer"]
Scale = Literal["paper", "norm", "exact", "calibrated"]
Balance = Literal["none", "cv2", "switch"]
Need = Literal["activations", "gradients"]

_CHOICES = {
    "split": Split,
    "cluster_on": Matrix,
    "metric": Metric,
    "importance": Importance,
    "clusters": Clusters,
    "router": Router,
    "router_init": RouterInit,
    "score": Score,
    "noise": Noise,
    "balance": Balance,
}
BY_IMPORTANCE = ("gradient", "gradient_share", "residual")
"""Splits that deal neurons out by their importance to clusters of the calibration data."""
_NEEDED: dict[str, Need] = {"activation": "activations", "gradient": "gradients"}
_INITS = {
    "linear": get_args(RouterInit),
    "mlp": ("random", "zeros"),
    "glu": ("analytic",),
}


@dataclass(frozen=True, kw_only=True)
class MoEConfig:
    """How to cut the hidden neurons of an FFN into experts, and how tokens are routed to them.

    The neurons form `num_experts` blocks of equal size (sizes differ by at most 1). `num_shared` of them are always on,
    unweighted; `top_k` of the other N = num_experts - num_shared are chosen per token, so that
    (num_shared + top_k) / num_experts of the neurons are active. `layers` are the blocks of the model to convert.

    Which neurons (`split`; each is described in its file under `splits/`):

    - `cluster_on`, `metric`: what "cluster" compares. `overlap`: routed experts of "residual" may share neurons.
    - `importance` ranks the shared neurons and feeds "gradient", "gradient_share" and "residual": "gradient" is the
      mean of |h dL/dh|, "activation" the mean of |h| times the norm of the neuron's column of the down projection,
      which needs no backward pass. Unless given: "gradient" for those three splits, else "activation".
    - `clusters`: the text clusters whose importance these three splits use: "documents" (LLaMA-MoE v1) or "tokens"
      (v2: clusters of FFN inputs).

    Which expert (`router`, `router_init`): described in `router.py` and `router_init.py`.

    With k = top_k the chosen experts get weights g_i and the routed output is s * sum_i g_i E_i(x):

    - `score`: "topk_softmax" is a softmax over the k chosen logits; "softmax_topk" is a softmax over all N, of which k
      are chosen; "sigmoid" is the sigmoid of each logit; both are then divided by their sum if `renorm`, or left as
      they are; "none" gives each chosen expert 1/k.
    - `noise`: "shazeer" adds learned Gaussian noise to the logits in training.
    - `straight_through`: a renormalised top-1 weight is always 1, so that no gradient of the task reaches the router;
      with this the value stays 1 and the gradient is that of the probability.
    - `scale`: s itself, or "paper": N/k (LLaMA-MoE, arXiv 2406.16554), "norm": sqrt(N k), which keeps the output's norm
      when experts are independent, "exact": k, so that each chosen expert has mean coefficient 1 when the g_i sum to 1,
      "calibrated": per layer, the least-squares fit to the dense output on the calibration tokens. Mind that the mean
      coefficient of a chosen expert is s/k: "paper" gives N/k^2, hence with k = N the output is dense/N, and
      only "exact" gives back the dense layer.
    - `align`: match mean and variance of every output channel to the dense layer on the calibration tokens
      (v2's distribution alignment; the offset is added once, whatever the scale).
    - `balance`, `balance_coef`: what `aux_loss` returns, described in `balance.py`.
    - `capacity`: in training an expert takes at most ceil(capacity * tokens * k / N) tokens; the rest are dropped.

    `faithful`: reproduce the balance losses as the authors' code computes them (see `balance.py`). `attn`: also
    convert the attention of `layers`. Raises `ModelError` for a combination that cannot work.
    """

    num_experts: int = 8
    top_k: int = 2
    num_shared: int = 0
    split: Split = "random"
    cluster_on: Matrix = "up"
    metric: Metric = "l2"
    importance: Importance = None  # type: ignore[assignment] - filled in from `split`
    clusters: Clusters = "documents"
    overlap: bool = False
    router: Router = "linear"
    router_init: RouterInit = "random"
    score: Score = "topk_softmax"
    renorm: bool = True
    noise: Noise = "none"
    straight_through: bool = False
    scale: Scale | float = "exact"
    align: bool = False
    balance: Balance = "none"
    balance_coef: float = 1e-2
    capacity: float | None = None
    layers: Literal["all"] | tuple[int, ...] = "all"
    attn: AttnMoEConfig | None = None
    faithful: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.importance is None:
            object.__setattr__(self, "importance", "gradient" if self.split in BY_IMPORTANCE else "activation")
        if isinstance(self.layers, list):
            object.__setattr__(self, "layers", tuple(self.layers))
        for field, options in _CHOICES.items():
            check_choice(field, getattr(self, field), get_args(options))
        self._check_counts()
        self._check_scale()
        self._check_layers()
        self._check_routing()
        self._check_split()

    @property
    def num_routed(self) -> int:
        """Number of experts the router chooses from, N."""
        return self.num_experts - self.num_shared

    @property
    def scale_value(self) -> float:
        """The factor s of the routed output; for "calibrated", the k that the fit starts from."""
        if not isinstance(self.scale, str):
            return float(self.scale)
        n, k = self.num_routed, self.top_k
        return {"paper": n / k, "norm": math.sqrt(n * k), "exact": float(k), "calibrated": float(k)}[self.scale]

    @property
    def needs(self) -> frozenset[Need]:
        """What a calibration must hold to be of use to this conversion."""
        if self.num_shared == 0 or self.split in ("residual", "carved"):
            return self.requires
        return self.requires.union((_NEEDED[self.importance],))

    @property
    def requires(self) -> frozenset[Need]:
        """What the conversion cannot go without: `needs` but for the ranking of shared neurons, then random ones."""
        found: set[Need] = set()
        if self.split in BY_IMPORTANCE:
            found |= {"activations", _NEEDED[self.importance]}
        informed = self.router_init in ("energy", "centroids") or self.router == "glu"
        if self.split in ("coact", "carved") or informed or self.scale == "calibrated" or self.align:
            found.add("activations")
        return frozenset(found)

    def _check_counts(self) -> None:
        if self.num_shared < 0 or self.num_experts < 1:
            raise ModelError(f"num_experts={self.num_experts} and num_shared={self.num_shared} cannot be negative")
        if not 1 <= self.top_k <= self.num_routed:
            raise ModelError(
                f"top_k={self.top_k} must lie in 1..{self.num_routed}, the number of routed experts "
                f"(num_experts={self.num_experts} - num_shared={self.num_shared})"
            )

    def _check_scale(self) -> None:
        if isinstance(self.scale, str):
            check_choice("scale", self.scale, get_args(Scale))
        for field, value in (("scale", self.scale), ("capacity", self.capacity)):
            if isinstance(value, (int, float)) and not 0 < value < math.inf:
                raise ModelError(f"{field}={value!r} must be a positive number")
        if not 0 <= self.balance_coef < math.inf:
            raise ModelError(f"balance_coef={self.balance_coef!r} must be 0 or more")

    def _check_layers(self) -> None:
        if self.layers == "all":
            return
        valid = isinstance(self.layers, tuple) and all(isinstance(index, int) and index >= 0 for index in self.layers)
        if not valid or not self.layers or len(set(self.layers)) < len(self.layers):
            raise ModelError(f"layers={self.layers!r} must be 'all' or different block indices from 0 on")

    def _check_routing(self) -> None:
        if self.router_init not in _INITS[self.router]:
            raise ModelError(
                f"router={self.router!r} cannot start from router_init={self.router_init!r}: "
                f"use {' or '.join(map(repr, _INITS[self.router]))}"
            )
        normed = self.score == "topk_softmax" or (self.score == "softmax_topk" and self.renorm)
        if self.straight_through and not (self.top_k == 1 and normed):
            raise ModelError(
                f"straight_through is for a renormalised softmax of the best expert alone: top_k={self.top_k}, "
                f"score={self.score!r}, renorm={self.renorm} reach the router without it"
            )

    def _check_split(self) -> None:
        linked = self.split in BY_IMPORTANCE and self.clusters == "tokens"
        if self.router_init == "centroids" and not linked:
            raise ModelError(
                "router_init='centroids' needs experts that belong to clusters of FFN inputs: clusters='tokens' with "
                f"split={' or '.join(map(repr, BY_IMPORTANCE))}; for split={self.split!r} use router_init='energy'"
            )
        if self.split == "residual" and self.num_shared == 0:
            raise ModelError("split='residual' moves neurons to a shared block: set num_shared to 1 or more")
