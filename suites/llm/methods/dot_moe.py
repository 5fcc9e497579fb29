"""DOT-MoE: neurons carried to equal experts by balanced transport, learnt with the router against the dense model

Bamba et al. (arXiv 2606.01666, ICML 2026; no code released). M* = argmax <A, M> + t H(M) over plans with rows of sum 1
and equal columns, by Sinkhorn's iterations; y = W_down (h * (R M^T)), where M rounds the plan greedily, R is the k best
experts of a token, and both pass the gradient of their soft forms (straight-through); the loss is the KL from the dense
model's output, a balance loss and a z-loss. Read in a public note of the paper, not in the paper itself.

Our reading, where the note is silent: only affinities and routers train here, on the calibration text (the paper's
further training of all weights, with the loss of the next token, is a link of its own, `continual_pretraining`);
affinities and routers start from clusters of FFN inputs; temperature, rates and coefficients are ours.
"""

from dataclasses import dataclass

from torch import nn

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.transport.alignment import open_experts

from ...contracts.context import Context
from ...contracts.traits import CALIBRATION_DATA, CAUSAL, FFN
from ...methods.moe._calibration import calibration, split_seed
from ...methods.moe._dense_ffns import check_has_ffn
from ...methods.moe._moe import MoEMethod
from ._distillation import train_on_calibration


@dataclass(frozen=True, kw_only=True)
class DotMoE(MoEMethod):
    """`top_k` of `num_experts` experts per token; chosen experts keep their dense coefficient."""

    num_experts: int = 8
    """Experts of equal size."""
    top_k: int = 4
    """Experts per token; the paper's tables have half of the FFN active."""
    temperature: float = 1.0
    """Of the transport plan; a lower one gives harder plans, whose gradients are smaller."""
    passes: int = 4
    """Passes over the calibration text in which affinities and routers learn; 0 leaves them as they start."""
    alignment_rate: float = 1e-2
    """Peak learning rate of that training."""
    balance_coef: float = 1e-2
    """Weight of the balance loss (Switch Transformers) in that training."""
    z_coef: float = 1e-3
    """Weight of the z-loss on the router's logits in that training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.passes < 0:
            raise ValueError(f"passes={self.passes} must be 0 or more")
        for name in ("temperature", "alignment_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")

    @property
    def needs(self) -> frozenset[str]:
        """A language model with FFNs to cut, and text to learn on."""
        return frozenset({FFN, CAUSAL, CALIBRATION_DATA})

    @property
    def held_fraction(self) -> float | None:
        """The fraction of the neurons that each expert holds, where experts may hold the same ones."""
        return None

    def moe_config(self, seed: int) -> MoEConfig:
        """Unweighted experts; balance and z-loss act on the calibration text only."""
        return MoEConfig(
            num_experts=self.num_experts,
            top_k=self.top_k,
            split="transport",
            importance="activation",
            clusters="tokens",
            router_init="centroids",
            score="none",
            balance="switch",
            balance_coef=self.balance_coef,
            z_coef=self.z_coef,
            seed=seed,
        )

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Learn the experts and convert, in place. Raises `NotApplicable` for a model that cannot be converted so."""
        check_has_ffn(backbone)
        config = self.moe_config(split_seed(context))
        seen = calibration(backbone, context, gradients=False)
        learning = open_experts(backbone, config, seen, self.temperature, self.held_fraction)
        if self.passes:
            train_on_calibration(
                backbone,
                lambda model, batch: learning.loss(lambda whole: context.outputs(whole, batch)),
                context,
                passes=self.passes,
                learning_rate=self.alignment_rate,
            )
        return learning.close(None if self.routing == "own" else self.conversion(config.seed))
