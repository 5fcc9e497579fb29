"""ToMoE-like: every expert is the dense FFN under a mask of its own, learnt with the router; weights stay as they are

After ToMoE (Gao et al., arXiv 2501.15316), of which a summary was read and not the paper: experts and router are learnt
by differentiable pruning against the dense model, and one expert works on a token. Our reading, where that is silent:
masks of a fixed size and a softmax router, both straight-through, in the place of random gates and a penalty on sizes.
Loss and training are those of `dot_moe`, from which it differs by the masks: experts may hold the same neurons, so that
the model grows by what they share, and all of them together may miss some.
"""

from dataclasses import dataclass

from .dot_moe import DotMoE


@dataclass(frozen=True, kw_only=True)
class ToMoE(DotMoE):
    """`top_k` of `num_experts` masks per token; what chosen experts compute adds up with coefficient 1."""

    num_experts: int = 4
    """Masks of equal size."""
    top_k: int = 1
    """Masks per token; the paper's is 1."""
    held: float = 0.5
    """Fraction of the neurons that a mask holds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.held <= 1:
            raise ValueError(f"held={self.held} must lie in (0, 1]")

    @property
    def held_fraction(self) -> float:
        """The option."""
        return self.held
