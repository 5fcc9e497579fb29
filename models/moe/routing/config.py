"""Configuration of a router: how many experts it chooses, what they weigh, and what keeps them busy alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import ModelError, check_choice

RouterInit = Literal["random", "zeros", "energy", "regressed", "centroids", "analytic"]
Score = Literal["topk_softmax", "softmax_topk", "sigmoid", "none"]
Noise = Literal["none", "shazeer"]
Scale = Literal["paper", "norm", "exact", "calibrated"]
Balance = Literal["none", "cv2", "switch", "bias"]


@dataclass(frozen=True, kw_only=True)
class RoutingConfig:
    """How each token chooses k = top_k of N experts.

    The chosen experts get weights g_i and their output is s * sum_i g_i E_i(x).

    Attributes:
        num_experts: experts of a layer.
        top_k: k.
        score: "topk_softmax" is a softmax over the k chosen logits; "softmax_topk" is a softmax over all N, of which k
            are chosen; "sigmoid" is the sigmoid of each logit; "none" gives each chosen expert 1/k.
        renorm: divide the weights of "softmax_topk" and "sigmoid" by their sum.
        noise: "shazeer" adds learned Gaussian noise to the logits in training.
        straight_through: a renormalised top-1 weight is always 1, so that no gradient of the task reaches the router;
            with this the value stays 1 and the gradient is that of the probability.
        scale: s itself, or "paper": N/k (LLaMA-MoE, arXiv 2406.16554), "norm": sqrt(N k), which keeps the output's norm
            when experts are independent, "exact": k, so that each chosen expert has mean coefficient 1 when the g_i sum
            to 1, "calibrated": a fit that starts from k. Mind that the mean coefficient of a chosen expert is s/k:
            "paper" gives N/k^2, hence dense/N with k = N equal weights. "exact" then gives back the dense layer, but
            only while the weights are equal (score="none", or router_init="zeros"): others have the same mean, not the
            same values.
        balance: "cv2" and "switch" are losses on the router (`balance.py`); "bias" is none: a bias on the scores by
            which experts are chosen moves after each step (`choice_bias.py`).
        balance_coef: factor of these losses.
        bias_rate: how far the bias moves.
        z_coef: factor of the router z-loss, which comes on top of whatever balances.
        densemixer: in training, the router gets the gradient of a mixture of all experts (`densemixer.py`).
        faithful: reproduce the balance losses as the authors' code computes them (see `balance.py`).

    Raises:
        ModelError: a value that cannot work.
    """

    num_experts: int = 8
    top_k: int = 2
    score: Score = "topk_softmax"
    renorm: bool = True
    noise: Noise = "none"
    straight_through: bool = False
    scale: Scale | float = "exact"
    balance: Balance = "none"
    balance_coef: float = 1e-2
    bias_rate: float = 1e-3
    z_coef: float = 0.0
    densemixer: bool = False
    faithful: bool = False

    def __post_init__(self) -> None:
        check_choice("score", self.score, get_args(Score))
        check_choice("noise", self.noise, get_args(Noise))
        check_choice("balance", self.balance, get_args(Balance))
        if self.num_experts < 1:
            raise ModelError(f"num_experts={self.num_experts} must be 1 or more")
        if not 1 <= self.top_k <= self.num_routed:
            raise ModelError(f"top_k={self.top_k} must lie in 1..{self.num_routed}, the number of routed experts")
        self._check_scale()
        for field in ("balance_coef", "z_coef"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ModelError(f"{field}={getattr(self, field)!r} must be 0 or more")
        check_positive("bias_rate", self.bias_rate)
        self._check_straight_through()
        self._check_densemixer()

    @property
    def num_routed(self) -> int:
        """Number of experts that the router chooses from, N."""
        return self.num_experts

    @property
    def has_loss(self) -> bool:
        """Whether training has a loss on the router."""
        return self.balance in ("cv2", "switch") or self.z_coef > 0

    @property
    def counts_tokens(self) -> bool:
        """Whether it makes a difference to the router's training which tokens are real."""
        return self.has_loss or self.balance == "bias"

    @property
    def scale_value(self) -> float:
        """The factor s of the routed output; for "calibrated", the k that the fit starts from."""
        if not isinstance(self.scale, str):
            return float(self.scale)
        if self.scale == "paper":
            return self.num_routed / self.top_k
        if self.scale == "norm":
            return math.sqrt(self.num_routed * self.top_k)
        return float(self.top_k)

    def _check_scale(self) -> None:
        if isinstance(self.scale, str):
            check_choice("scale", self.scale, get_args(Scale))
        else:
            check_positive("scale", self.scale)

    def _check_straight_through(self) -> None:
        normed = self.score == "topk_softmax" or (self.score == "softmax_topk" and self.renorm)
        if self.straight_through and not (self.top_k == 1 and normed):
            raise ModelError(
                f"straight_through is for a renormalised softmax of the best expert alone: top_k={self.top_k}, "
                f"score={self.score!r}, renorm={self.renorm} reach the router without it"
            )

    def _check_densemixer(self) -> None:
        if self.densemixer and self.score == "none":
            raise ModelError("densemixer needs weights that depend on the router: score='none' weighs experts equally")
        if self.densemixer and self.straight_through:
            raise ModelError("densemixer and straight_through both say what the gradient of the weights is: use one")


def check_positive(field: str, value: float) -> None:
    """Raise a `ModelError` unless `value` is a finite number above 0."""
    if not 0 < value < math.inf:
        raise ModelError(f"{field}={value!r} must be a positive number")
