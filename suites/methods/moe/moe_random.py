"""Dense to MoE: neurons dealt out at random, random router (LLaMA-MoE's split)

Independent-Random of LLaMA-MoE (Zhu et al., arXiv 2406.16554, section 3.1), here without its continued pre-training.
The paper's softmax weights and scale N/k are `score="topk_softmax"` and `scale="paper"`; the default leaves each chosen
expert its dense coefficient, which loses less before training.
"""

from dataclasses import dataclass
from typing import Literal

from sparsebench.models.moe.config import MoEConfig

from ...contracts.method import Later
from ._moe import BlockMoE

ROLE = "control"
"""What a row of this method alone is there for, read by the report."""


@dataclass(frozen=True, kw_only=True)
class RandomSplit(BlockMoE):
    """`top_k` of `num_experts` random blocks of neurons, chosen by a router that starts at random."""

    router_init: Literal["random", "energy"] = "random"
    """With "energy", calibration data decide."""
    router: Later[str] = "linear"
    """The kind of router; one of another package, too."""

    def moe_config(self, seed: int) -> MoEConfig:
        """No shared block."""
        return MoEConfig(
            num_experts=self.num_experts,
            top_k=self.top_k,
            split="random",
            router=self.router,
            router_init=self.router_init,
            score=self.score,
            scale=self.scale,
            seed=seed,
        )
