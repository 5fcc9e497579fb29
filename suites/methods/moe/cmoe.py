"""CMoE: shared neurons by activation rate, the others by co-activation, and an analytic router; training-free

Pei et al. (arXiv 2502.04416): 3 of 8 blocks always on, balanced assignment of the rest around their most active
neurons, and routing by the activation of each expert's most typical neuron. The paper's LoRA tuning is excluded.
"""

from dataclasses import dataclass
from typing import Literal

from sparsebench.models.moe import MoEConfig, preset

from ._moe import MoEMethod

CONTROLS = ({"split": "random"}, {"split": "cluster"}, {"num_shared": 0})
"""Configurations that are controls, read by the report."""

RENAMED_VALUES = {"split": {"carved": "cmoe"}}
"""What older records call it."""


@dataclass(frozen=True, kw_only=True)
class CMoE(MoEMethod):
    """`num_shared` blocks always on, and `top_k` of the other `num_experts - num_shared`; chosen experts weigh 1."""

    num_experts: int = 8
    """Equal blocks of neurons, the always-on ones included."""
    num_shared: int = 3
    """Blocks that are always on; 0 leaves the shared block out, as a control."""
    top_k: int = 1
    """Routed experts per token, in addition to the shared ones."""
    split: Literal["cmoe", "random", "cluster", "residual"] = "cmoe"
    """Other ways to deal out the neurons, under the same router, as controls; "residual" is v2's gradient split."""

    def moe_config(self, seed: int) -> MoEConfig:
        """CMoE's preset with these numbers."""
        clusters = "tokens" if self.split == "residual" else "documents"
        return preset(
            "cmoe_3p1of8",
            num_experts=self.num_experts,
            num_shared=self.num_shared,
            top_k=self.top_k,
            split=self.split,
            importance="gradient" if self.split == "residual" else "activation",
            clusters=clusters,
            seed=seed,
        )
