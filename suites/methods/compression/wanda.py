"""Wanda on experts: weights go by their size times the norm of the inputs that the expert was given

Sun et al. (arXiv 2306.11695); on experts as in the unified compression of mixtures (He et al., arXiv 2406.02500).
`router_weighted` is MoE-Pruner (Xie et al., arXiv 2410.12013): each token counts by the weight that the router gives
it. The paper ranks within the rows of a matrix (`pattern: row`), which is the default here.
"""

from dataclasses import dataclass

from sparsebench.models.compression.slimming.pruning import PruningConfig

from ...contracts.method import Later
from ._pruning import PruningMethod


@dataclass(frozen=True, kw_only=True)
class Wanda(PruningMethod):
    """|w| times the norm of the input decides; weights that stay are as they were."""

    pattern: str = "row"
    """Where: "row" over each output, "unstructured" over each matrix, "2:4", "4:8" in each group of inputs."""
    router_weighted: bool = False
    """Weigh each token by what the router multiplies the expert with (experts only)."""
    min_tokens: int = 1
    """Matrices that fewer tokens reach are pruned by magnitude, with a warning that names them."""
    sequential: Later[bool] = True
    """The inputs of a layer are those that the pruned layers before it give, as in the paper; else those of the model
    as it was, as in the released code of the unified compression."""

    def pruning(self) -> PruningConfig:
        """The settings."""
        return self._settings(
            "wanda",
            router_weighted=self.router_weighted,
            min_tokens=self.min_tokens,
            sequential=self.sequential,
        )
