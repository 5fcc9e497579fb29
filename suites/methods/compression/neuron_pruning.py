"""Static pruning of FFN neurons by |activation x gradient|: the control for what a router adds

First-order Taylor importance of each neuron, mean |h dL/dh| on the calibration data, as LLaMA-MoE v1 prunes to test its
importance (arXiv 2406.16554). Each FFN keeps the most important neurons, random ones, or the least important ones, and
is a smaller dense FFN.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import MLP, Site, describe, linear_view
from sparsebench.models.moe.splits.importance import importance

from ...contracts.context import Context
from ...contracts.traits import CALIBRATION_DATA, FFN
from ..moe._calibration import calibration, split_seed
from ..moe._dense_ffns import check_has_neurons
from ..shared._tuned import TunedMethod

ROLE = "control"
"""What a row of this method alone is there for, read by the report."""


@dataclass(frozen=True, kw_only=True)
class NeuronPruning(TunedMethod):
    """Every FFN keeps a fraction of its neurons."""

    keep: float = 0.8
    """Share of the neurons that stay, in (0, 1]."""
    which: Literal["top", "random", "bottom"] = "top"
    """The most important neurons, random ones, or the least important ones."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must lie in (0, 1], not {self.keep}")

    @property
    def needs(self) -> frozenset[str]:
        """A feed-forward layer with neurons to drop, and calibration data unless they are dropped at random."""
        looks = set() if self.which == "random" else {CALIBRATION_DATA}
        return frozenset({FFN, *looks})

    @torch.no_grad()
    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Shrink every FFN in place."""
        check_has_neurons(backbone)
        mlps = [block.mlp for block in describe(backbone).blocks if block.mlp is not None]
        scores = self._scores(mlps, backbone, context)
        for mlp, score in zip(mlps, scores, strict=True):
            kept = score.topk(max(1, round(self.keep * len(score)))).indices.sort().values
            for site in (mlp.gate, mlp.up):
                if site is not None:
                    _keep(site, kept, rows=True)
            if mlp.gate_up is not None:
                _keep(mlp.gate_up, torch.cat((kept, kept + mlp.hidden)), rows=True)
            assert mlp.down is not None
            _keep(mlp.down, kept, rows=False)
        return backbone

    def _scores(self, mlps: list[MLP], backbone: nn.Module, context: Context) -> list[Tensor]:
        if self.which == "random":
            generator = torch.Generator().manual_seed(split_seed(context))
            return [torch.rand(mlp.hidden, generator=generator) for mlp in mlps]
        with torch.enable_grad():
            samples = calibration(backbone, context, gradients=True).samples
        scores = []
        for mlp, sample in zip(mlps, samples, strict=True):
            assert mlp.down is not None
            score = importance(sample, linear_view(mlp.down.get(), mlp.down.path).weight, "gradient")
            if self.which == "bottom":
                score = -score
            scores.append(score)
        return scores


def _keep(site: Site, kept: Tensor, rows: bool) -> None:
    """Put a linear layer with some rows, or columns, of the one at `site` in its place."""
    old = linear_view(site.get(), site.path, "pruning of its neurons")
    kept = kept.to(old.weight.device)
    weight = old.weight[kept] if rows else old.weight[:, kept]
    bias = old.bias[kept] if rows and old.bias is not None else old.bias
    new = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, weight.device, weight.dtype)
    new.weight.copy_(weight)
    if bias is not None:
        new.bias.copy_(bias)
    site.replace(new)
