"""Routers: which experts a token goes to, and with what weight."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .calibration import FFNStatistics
from .config import MoEConfig
from .splits import Partition

# Shapes: T tokens, D width, N routed experts, K chosen experts.


class LinearRouter(nn.Module):
    """Linear router without bias. Logits and weights are computed in float32 or better, so that bf16 does not tie."""

    def __init__(self, config: MoEConfig, weight_ND: Tensor) -> None:
        super().__init__()
        self.top_k, self.score, self.renorm, self.scale = config.top_k, config.score, config.renorm, config.scale_value
        self.weight = nn.Parameter(weight_ND)

    def forward(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        """Expert indices (T, K), best first, and their weights times the scale (T, K)."""
        logits = self.logits(x_TD)
        if self.score == "softmax_topk" and not self.renorm:
            weight, index = logits.softmax(-1).topk(self.top_k, dim=-1)
            return index, weight * self.scale
        best, index = logits.topk(self.top_k, dim=-1)
        if self.score == "none":
            return index, torch.full_like(best, self.scale / self.top_k)
        # A softmax over the chosen logits equals the softmax over all of them divided by the sum of the chosen.
        return index, best.softmax(-1) * self.scale

    def logits(self, x_TD: Tensor) -> Tensor:
        """Router logits (T, N)."""
        dtype = torch.promote_types(x_TD.dtype, torch.float32)
        return F.linear(x_TD.to(dtype), self.weight.to(dtype))

    def extra_repr(self) -> str:  # noqa: D102 - torch's own hook
        return f"{tuple(self.weight.shape)}, top_k={self.top_k}, score={self.score}, scale={self.scale:g}"


def centroids(statistics: FFNStatistics, parts: Partition, down_norm: Tensor) -> Tensor:
    """Router rows (N, D) from calibration data.

    Row e is the mean FFN input weighted by the expert's energy, minus the plain mean input:
    w_e = sum_t a_te x_t / sum_t a_te - mean_t x_t, with a_te = sum of (h_ti ||W_down[:, i]||)^2 over neurons i of
    expert e. So the logit of an expert grows along the directions of the inputs on which it is strong.
    """
    squared = down_norm.square()
    mean = statistics.input / statistics.tokens
    rows = []
    for neurons in parts.experts:
        weighted = squared[neurons] @ statistics.energy_input[neurons]
        energy = squared[neurons] @ statistics.energy[neurons]
        rows.append(weighted / energy.clamp_min(torch.finfo(energy.dtype).tiny) - mean)
    return torch.stack(rows)
