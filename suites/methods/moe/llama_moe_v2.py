"""LLaMA-MoE v2: dense to MoE with the settings of the published models, before any training

Qu et al. (arXiv 2411.15708): 2 of 8 experts; one shared and 1 of 7 experts by the gradient importance of clusters of
FFN inputs, whose centroids are the router; attention experts. The paper then tunes on 7 billion tokens of instructions.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sparsebench.models.moe import MoEConfig, preset

from ...contracts.method import Later
from ._moe import MoEMethod

PRESETS = {"8top2": "llama_moe_v2_8top2", "1p7top1": "v2_1p7top1", "attn_7of8": "v2_attn_7of8"}

RENAMED = {"strict_release": "faithful"}
"""What older records call it."""


@dataclass(frozen=True, kw_only=True)
class LlamaMoEV2(MoEMethod):
    """A published model's setting; what is not None replaces a part of it."""

    preset: Literal["8top2", "1p7top1", "attn_7of8"] = "1p7top1"
    """2 of 8 experts; 1 always on and 1 of 7; 2 of 8 and, in the attention, 7 of 8 groups of heads."""
    scale: Literal["paper", "norm", "exact", "calibrated"] | float | None = None
    """Factor of the routed output; "calibrated" is fitted per layer."""
    align: bool = False
    """Match mean and variance of each layer's output to the dense model's on the calibration data."""
    densemixer: bool = False
    """The router learns from all experts, chosen or not, which then all compute in training; in the place of the
    straight-through gradient of the preset with one expert per token."""
    faithful: bool = False
    """With the defects of the released code: routers that cannot learn, shrunken attention."""
    num_shared: Later[int | None] = None
    """Blocks of eight that are always on: with 3 of "1p7top1" half of the neurons work on a token."""

    def moe_config(self, seed: int) -> MoEConfig:
        """The preset with its changes."""
        changes: dict[str, Any] = {}
        if self.scale is not None:
            changes["scale"] = self.scale
        if self.num_shared is not None:
            changes["num_shared"] = self.num_shared
        if self.densemixer:
            changes |= {"densemixer": True, "straight_through": False}
        return preset(PRESETS[self.preset], faithful=self.faithful, seed=seed, align=self.align, **changes)
