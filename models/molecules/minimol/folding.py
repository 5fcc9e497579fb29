"""MiniMol's MLPs as plain feed-forward layers, whose neurons are independent of each other: the same function."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ModelError
from .layers import GINE, Layer, NormedMLP
from .network import MiniMol

# Shapes: D width of inputs and outputs, H hidden neurons.


class FeedForward(nn.Module):
    """down(act(up(x))), (..., width) to the same shape."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.activation = nn.GELU()
        self.down = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """The output (..., width)."""
        return self.down(self.activation(self.up(x)))


class FoldedMLP(nn.Module):
    """A `NormedMLP` whose norm lies in front of it, so that `ffn` can be cut into neurons.

    The norm inside takes u = U x + b to g (u - mean u) / s + h with s^2 = var u + eps. With P that takes the mean off,
    this is (g P U) (x / s) + (g P b) (1 / s) + h: a plain layer of x / s with 1 / s as one more input. And s needs no
    neuron, since |P (U x + b)|^2 = |R (x, 1)|^2 with R of the QR decomposition of P (U, b): `root` holds it. `ffn`
    gives one number more than D, which is 0 and is left out, so that its outputs are as many as its inputs.

    All of it is trained as any layer is; that the norm was of the neurons is true at the start alone. Computing s costs
    as much as the up projection.
    """

    def __init__(self, width: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.root = nn.Linear(width, min(hidden, width + 1))
        self.ffn = FeedForward(width + 1, hidden)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """The output (..., D)."""
        scale = (self.root(x).square().sum(dim=-1, keepdim=True) + self.eps).rsqrt()
        return self.ffn(F.pad(x, (0, 1), value=1.0) * scale)[..., :-1]

    @classmethod
    @torch.no_grad()
    def of(cls, mlp: NormedMLP) -> FoldedMLP:
        """The same function as an MLP whose outputs are as many as its inputs, in its dtype. Computed in float64."""
        hidden, width = mlp.up.weight.shape
        folded = cls(width, hidden, mlp.norm.eps).to(mlp.up.weight)
        neurons = torch.cat([mlp.up.weight, mlp.up.bias[:, None]], dim=1).double()
        neurons = neurons - neurons.mean(dim=0)
        root = torch.linalg.qr(neurons / hidden**0.5).R
        folded.root.weight.copy_(root[:, :-1])
        folded.root.bias.copy_(root[:, -1])
        folded.ffn.up.weight.copy_(mlp.norm.weight[:, None] * neurons)
        folded.ffn.up.bias.copy_(mlp.norm.bias)
        folded.ffn.down.weight.copy_(F.pad(mlp.down.weight, (0, 0, 0, 1)))
        folded.ffn.down.bias.copy_(F.pad(mlp.down.bias, (0, 1)))
        return folded.train(mlp.training)


def fold_norms(network: MiniMol) -> MiniMol:
    """Put the norms inside the MLPs of the layers in front of them, in place; the first and the last layer stay.

    Args:
        network: a MiniMol.

    Returns:
        The network, which computes the same, and whose MLPs can be cut into experts, pruned by neurons and so on.

    Raises:
        ModelError: an MLP is none any more whose norm could be folded. Nothing changes then.

    Example: `fold_norms(load_minimol(file).trunk)`.
    """
    plain: list[tuple[GINE, FoldedMLP]] = []
    for place, layer in enumerate(network.layers):
        assert isinstance(layer, Layer)
        if not isinstance(layer.gine.mlp, NormedMLP):
            raise ModelError(f"layers.{place}.gine.mlp is a {type(layer.gine.mlp).__name__}: it has no norm to fold")
        plain.append((layer.gine, FoldedMLP.of(layer.gine.mlp)))
    for gine, folded in plain:
        gine.mlp = folded
    return network
