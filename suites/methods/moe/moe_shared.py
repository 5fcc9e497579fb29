"""Dense to MoE: the neurons that matter most always on, the others routed

A shared block as in CMoE (Pei et al., arXiv 2502.04416: 3 of 8 blocks) and in the residual variant of LLaMA-MoE. Shared
neurons are those of greatest mean |activation| times output norm on the calibration data; the others are dealt out at
random, and the router points at the inputs on which an expert is strong.
"""

from dataclasses import dataclass
from typing import Literal

from sparsebench.models.moe.config import MoEConfig

from ._moe import BlockMoE


@dataclass(frozen=True, kw_only=True)
class SharedSplit(BlockMoE):
    """`num_shared` blocks always on, and `top_k` of the other `num_experts - num_shared`."""

    top_k: int = 1
    """Routed experts per token, in addition to the shared ones."""
    num_shared: int = 3
    """Blocks of `num_experts` that are always on."""
    router_init: Literal["random", "energy"] = "energy"
    """With "random", the calibration data do not reach the router."""

    def __post_init__(self) -> None:
        if self.num_shared < 1:
            raise ValueError(f"num_shared must be 1 or more, not {self.num_shared}; without a shared block: moe_random")
        super().__post_init__()

    def moe_config(self, seed: int) -> MoEConfig:
        """Shared neurons by importance, the rest at random."""
        return MoEConfig(
            num_experts=self.num_experts,
            num_shared=self.num_shared,
            top_k=self.top_k,
            split="random",
            router_init=self.router_init,
            score=self.score,
            scale=self.scale,
            seed=seed,
        )
