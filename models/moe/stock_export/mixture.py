"""Mixtures in the layout of transformers: scale and gain folded in, zero neurons at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...anatomy import ExpertWeights
from ..layer import MoEFFN

# Shapes: N routed experts, D width, M neurons of an expert in the file, S neurons of the shared block in the file.


@dataclass(frozen=True)
class Mixture:
    """One mixture with s and the gain of an alignment folded into the down projections.

    router (N, D), gate_up (N, 2M, D), down (N, D, M); shared: gate and up (S, D), down (D, S). choice_bias
    (N,) is added to the scores by which experts are chosen; None: nothing is.
    """

    router: Tensor
    gate_up: Tensor
    down: Tensor
    shared: ExpertWeights
    choice_bias: Tensor | None = None

    @classmethod
    def of(cls, layer: MoEFFN, widths: tuple[int, int], *, factor: float = 1.0, repeated: bool = False) -> Mixture:
        """Of a converted layer.

        Args:
            layer: a converted feed-forward layer.
            widths: neurons of every expert and of the shared block; those that the layer lacks are zero.
            factor: multiplies the output.
            repeated: whether the neurons of the shared block are appended to those of each expert.
        """
        weight_ND = layer.router.linear_weight()
        assert weight_ND is not None  # `Source.foreign` names a router that has none
        gain = None if layer.alignment is None else layer.alignment.gain
        gate, up = layer.experts.gate_up.detach().chunk(2, dim=1)
        down = _scaled(layer.experts.down.detach(), factor * layer.scale, gain)
        shared = _shared(layer, factor, gain)
        if repeated:
            gate = _with(gate, shared[0], 1)
            up = _with(up, shared[1], 1)
            down = _with(down, shared[2], 2)
            shared = [part[:0] for part in shared[:2]] + [shared[2][:, :0]]
        bias = layer.router.choice_bias
        return cls(
            router=weight_ND.detach(),
            gate_up=torch.cat([_padded(gate, 1, widths[0]), _padded(up, 1, widths[0])], dim=1),
            down=_padded(down, 2, widths[0]),
            shared=ExpertWeights(
                *(_padded(part, axis, widths[1]) for part, axis in zip(shared, (0, 0, 1), strict=True))
            ),
            choice_bias=None if bias is None else bias.value,
        )


def _with(expert: Tensor, shared: Tensor, axis: int) -> Tensor:
    """Experts (N, ., .) with a shared matrix after each along an axis."""
    return torch.cat([expert, shared.expand(len(expert), *shared.shape)], dim=axis)


def _shared(layer: MoEFFN, factor: float, gain: Tensor | None) -> list[Tensor]:
    """Gate and up (S, D) and down (D, S) of the shared block; without neurons where there is none."""
    if layer.shared is None:
        none_0D = layer.experts.down.detach().new_zeros(0, layer.experts.down.shape[1])
        return [none_0D, none_0D, none_0D.T]
    # Conversion makes it a bank of one expert.
    gate, up, down = layer.shared.weights(0)[:3]
    assert gate is not None
    return [gate.detach(), up.detach(), _scaled(down.detach(), factor, gain)]


def _scaled(down: Tensor, scale: float, gain: Tensor | None) -> Tensor:
    """`down` (..., D, M) times `scale`, and row by row times `gain` (D,); rounded once."""
    if scale == 1 and gain is None:
        return down
    factor = down.new_full((down.shape[-2],), scale, dtype=torch.float64)
    if gain is not None:
        factor = factor * gain.detach().double()
    wide = torch.promote_types(down.dtype, torch.float32)
    return (down.to(wide) * factor.to(wide).unsqueeze(-1)).to(down.dtype)


def _padded(tensor: Tensor, axis: int, size: int) -> Tensor:
    """Zeros at the end of `axis`, up to `size`."""
    missing = size - tensor.shape[axis]
    if missing == 0:
        return tensor.contiguous()
    shape = [*tensor.shape[:axis], missing, *tensor.shape[axis + 1 :]]
    return torch.cat([tensor, tensor.new_zeros(shape)], dim=axis)
