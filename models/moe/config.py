"""Configuration of a dense to MoE conversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ModelError, check_choice

Split = Literal["random", "sequential"]
RouterInit = Literal["random", "zeros", "centroids"]
Score = Literal["topk_softmax", "softmax_topk", "none"]
Scale = Literal["paper", "norm", "exact"]


@dataclass(frozen=True, kw_only=True)
class MoEConfig:
    """How to cut the hidden neurons of an FFN into experts.

    The neurons form `num_experts` blocks of equal size (sizes differ by at most 1). `num_shared` of them are always on,
    unweighted; `top_k` of the other N = num_experts - num_shared are chosen per token, so that
    (num_shared + top_k) / num_experts of the neurons are active.

    With k = top_k the chosen experts get weights g_i that sum to 1 and the routed output is s * sum_i g_i E_i(x):

    - `score`: "topk_softmax" is a softmax over the k chosen logits; "softmax_topk" is a softmax over all N, of which k
      are chosen, and then divided by their sum if `renorm` (equal to the former), or left as they are; "none" gives
      each chosen expert 1/k.
    - `scale`: s itself, or "paper": N/k (LLaMA-MoE, arXiv 2406.16554), "norm": sqrt(N k), which keeps the output's norm
      when experts are independent, "exact": k, so that each chosen expert has mean coefficient 1. Mind that the mean
      coefficient of a chosen expert is s/k: "paper" gives N/k^2, hence with k = N the output is dense/N, and
      only "exact" gives back the dense layer.

    `router_init`: "random" draws N(0, 0.02^2), "centroids" is described in `router.centroids` and needs calibration.
    """

    num_experts: int = 8
    top_k: int = 2
    num_shared: int = 0
    split: Split = "random"
    router: Literal["linear"] = "linear"
    router_init: RouterInit = "random"
    score: Score = "topk_softmax"
    renorm: bool = True
    scale: Scale | float = "exact"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("split", self.split, get_args(Split))
        check_choice("router", self.router, ("linear",))
        check_choice("router_init", self.router_init, get_args(RouterInit))
        check_choice("score", self.score, get_args(Score))
        if isinstance(self.scale, str):
            check_choice("scale", self.scale, get_args(Scale))
        if self.num_shared < 0 or self.num_experts < 1:
            raise ModelError(f"num_experts={self.num_experts} and num_shared={self.num_shared} cannot be negative")
        if not 1 <= self.top_k <= self.num_routed:
            raise ModelError(
                f"top_k={self.top_k} must lie in 1..{self.num_routed}, the number of routed experts "
                f"(num_experts={self.num_experts} - num_shared={self.num_shared})"
            )

    @property
    def num_routed(self) -> int:
        """Number of experts the router chooses from, N."""
        return self.num_experts - self.num_shared

    @property
    def scale_value(self) -> float:
        """The factor s of the routed output."""
        if not isinstance(self.scale, str):
            return float(self.scale)
        n, k = self.num_routed, self.top_k
        return {"paper": n / k, "norm": math.sqrt(n * k), "exact": float(k)}[self.scale]
