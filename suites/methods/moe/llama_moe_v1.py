"""LLaMA-MoE v1: dense to MoE with the settings of the published models, before any training

Zhu et al. (arXiv 2406.16554): 4 or 2 of 16, 2 of 8 experts of random neurons, or 2 shared and 2 of 14 experts by
gradient importance; a tanh MLP router at random and the scale N/k. The paper then trains on 200 billion tokens.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sparsebench.models.moe import MoEConfig, preset

from ._moe import MoEMethod

PRESETS = {
    "4of16": "llama_moe_v1_4of16",
    "2of8": "llama_moe_v1_2of8",
    "2of16": "llama_moe_v1_2of16",
    "residual_14p2": "v1_residual_14p2",
}

RENAMED = {"strict_release": "faithful"}
"""What older records call it."""


@dataclass(frozen=True, kw_only=True)
class LlamaMoEV1(MoEMethod):
    """A published model's setting; what is not None replaces a part of it."""

    preset: Literal["4of16", "2of8", "2of16", "residual_14p2"] = "4of16"
    """Experts per token of all of them ("4of16"); "residual_14p2": 2 always on, and 2 of 14 routed ones."""
    split: Literal["random", "sequential", "cluster", "coact", "gradient", "gradient_share"] | None = None
    """Another of the paper's constructions of the experts."""
    scale: Literal["paper", "norm", "exact", "calibrated"] | float | None = None
    """Factor of the routed output; "paper" is N/k, "calibrated" is fitted per layer."""
    num_experts: int | None = None
    """Another number of experts, as in the papers' series of granularities."""
    top_k: int | None = None
    """Another number of experts per token; with 1 the router learns from its probability (straight-through)."""
    balance_coef: float | None = None
    """Another weight of the balance loss; 0 leaves it out."""
    densemixer: bool = False
    """The router learns from all experts, chosen or not, which then all compute in training."""
    faithful: bool = False
    """With the defects of the released code (they act in training only)."""

    def moe_config(self, seed: int) -> MoEConfig:
        """The preset with its changes."""
        names = ("split", "scale", "num_experts", "top_k", "balance_coef")
        changes: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.split in ("gradient", "gradient_share"):
            changes["importance"] = "gradient"
        given = {name: value for name, value in changes.items() if value is not None}
        if self.top_k == 1 and not self.densemixer:
            given["straight_through"] = True
        return preset(PRESETS[self.preset], faithful=self.faithful, seed=seed, densemixer=self.densemixer, **given)
