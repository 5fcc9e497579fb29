"""An oracle of neuron sparsity: each token keeps the neurons that are largest on it, after all have computed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..anatomy import Wrapper, describe, linear_view
from ..errors import ModelError

# Shapes: F hidden neurons.

By = Literal["activation", "contribution"]


def top_entries(h: Tensor, score: Tensor, count: int) -> Tensor:
    """h where the score of an entry is among the greatest of its last dimension, 0 elsewhere.

    Args:
        h: what is kept in part, (..., F).
        score: of each entry, of the same shape.
        count: how many stay of each F; of equal scores any.

    Returns:
        A tensor like h, whose gradient reaches the entries that stay.
    """
    kept = torch.zeros_like(score, dtype=torch.bool).scatter_(-1, score.topk(count, dim=-1, sorted=False).indices, True)
    return h.masked_fill(~kept, 0)


class TopNeurons(Wrapper):
    """A down projection that reads, of each token, the `count` neurons with the greatest |h| and no other.

    h (..., F) is what enters it: act(gate x) * (up x) of a gated FFN. With `by` "contribution" a neuron counts by
    |h| times the norm of its column of the down projection, the size of what it adds to the output. Gate and up
    projections have computed all neurons by then, so that nothing is saved.
    """

    def __init__(self, base_layer: nn.Module, count: int, by: By) -> None:
        super().__init__(base_layer)
        self.count = count
        self.by: By = by

    def forward(self, h: Tensor) -> Tensor:
        """Map (..., F) to the output of the down projection."""
        score = h.detach().abs()
        if self.by == "contribution":
            score = score.float() * linear_view(self.base_layer).weight.detach().float().norm(dim=0)
        return self.base_layer(top_entries(h, score, self.count))


def keep_top_neurons(model: nn.Module, fraction: float, by: By = "activation") -> nn.Module:
    """Let each token keep a fraction of the neurons of every dense FFN, those that are largest on it, in place.

    What AbsTopK-GLU does in ExpertWeaver (arXiv 2602.15521, table 1, read second-hand: whether it ranks by the gate or
    by its product with the up projection is not known here; this is the product).

    Args:
        model: a model whose anatomy is known.
        fraction: of the neurons that stay, above 0 to 1; rounded to a whole number, one at least.
        by: what a neuron counts by.

    Returns:
        The model.

    Raises:
        ModelError: a fraction outside that range, or an FFN that is not dense.

    Example: `keep_top_neurons(model, 0.5)`.
    """
    if not 0 < fraction <= 1:
        raise ModelError(f"fraction={fraction} must lie above 0, up to 1")
    mlps = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    for mlp in mlps:
        if mlp.kind not in ("gated", "plain"):
            raise ModelError(f"{mlp.site.path} is of kind {mlp.kind!r}: only gated and plain FFNs have neurons to rank")
    for mlp in mlps:
        assert mlp.down is not None
        down = mlp.down.get()
        linear_view(down, mlp.down.path, "ranking its neurons")
        mlp.down.replace(TopNeurons(down, max(1, round(fraction * mlp.hidden)), by))
    return model
