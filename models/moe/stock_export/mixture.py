"""Mixtures in the layout of transformers: scale and gain folded in, zero neurons at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...anatomy import ExpertWeights
from ..layer import MoEFFN
from ..routing.router import LinearRouter

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
    def of(cls, layer: MoEFFN, *, hidden: int, shared: int) -> Mixture:
        """With `hidden` neurons in every expert and `shared` in the shared block: the rest of them are zero."""
        assert type(layer.router) is LinearRouter  # `Source.foreign` names any other
        gain = None if layer.alignment is None else layer.alignment.gain
        gate, up = layer.experts.gate_up.detach().chunk(2, dim=1)
        down = _scaled(layer.experts.down.detach(), layer.scale, gain)
        bias = layer.router.choice_bias
        return cls(
            router=layer.router.weight.detach(),
            gate_up=torch.cat([_padded(gate, 1, hidden), _padded(up, 1, hidden)], dim=1),
            down=_padded(down, 2, hidden),
            shared=_shared(layer, gain, shared),
            choice_bias=None if bias is None else bias.value,
        )


def _shared(layer: MoEFFN, gain: Tensor | None, size: int) -> ExpertWeights:
    """The shared block as one expert of `size` neurons; of zero neurons alone where there is none."""
    width = layer.experts.down.shape[1]
    gate_SD = layer.experts.down.detach().new_zeros(0, width)
    up_SD = gate_SD
    down_DS = gate_SD.T
    if layer.shared is not None:
        # Conversion makes it a bank of one expert.
        gate, up, down = layer.shared.weights(0)[:3]
        assert gate is not None
        gate_SD = gate.detach()
        up_SD = up.detach()
        down_DS = _scaled(down.detach(), 1.0, gain)
    return ExpertWeights(_padded(gate_SD, 0, size), _padded(up_SD, 0, size), _padded(down_DS, 1, size))


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
