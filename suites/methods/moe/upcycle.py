"""Upcycling: every expert is a copy of the whole FFN, a part of which starts again; the model grows

Sparse upcycling (Komatsuzaki et al., arXiv 2212.05055) copies the FFN; Drop-Upcycling (Nakamura et al., arXiv
2502.19261) draws a fraction of each copy's neurons again, different ones in each, from the normal distribution of the
weights that they had: half of them in the paper. With `reinit: 0` the mixture computes what the dense model does.
"""

from dataclasses import dataclass

from sparsebench.models.moe.config import MoEConfig

from ._moe import MoEMethod

CONTROLS = ({"reinit": 0.0},)
"""Configurations that are controls, read by the report."""


@dataclass(frozen=True, kw_only=True)
class Upcycle(MoEMethod):
    """`top_k` of `num_experts` whole FFNs per token, with weights that sum to 1, chosen by a random linear router."""

    num_experts: int = 8
    """Copies of each FFN."""
    top_k: int = 2
    """Experts per token; with 1 the router gets the gradient of its probability (straight-through)."""
    reinit: float = 0.5
    """Fraction of each copy's neurons that start at random again; 0 is sparse upcycling."""
    balance_coef: float = 1e-2
    """Weight of the balance loss (Switch Transformers)."""

    def moe_config(self, seed: int) -> MoEConfig:
        """Copies under a renormalised softmax."""
        return MoEConfig(
            num_experts=self.num_experts,
            top_k=self.top_k,
            split="whole",
            reinit=self.reinit,
            score="softmax_topk",
            renorm=True,
            straight_through=self.top_k == 1,
            balance="switch",
            balance_coef=self.balance_coef,
            seed=seed,
        )
