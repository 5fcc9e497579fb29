"""Slow references in float64, and how far the rounding of inputs to 8 bits may take a product from them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.compression.quantisation.grid import Grid, round_to_nearest
from sparsebench.models.compression.quantisation.packed.kernels.codes import CHUNK
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor

# Shapes: R rows, I inputs, O outputs, C chunks; T tokens, K chosen experts, N experts.

GRIDS = [
    Grid(bits=4, group_size=64),
    Grid(bits=8, group_size=None),
    Grid(bits=4, group_size=32, symmetric=False),
    Grid(bits=8, group_size=128, symmetric=False),
    Grid(bits=3, group_size=96, symmetric=False),
    Grid(bits=2, group_size=None, symmetric=False),
]
DTYPES = [torch.float32, torch.bfloat16]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def packed(weight: Tensor, grid: Grid) -> PackedTensor:
    return PackedTensor.of(round_to_nearest(weight, grid))


def exact(weight: PackedTensor) -> Tensor:
    """The weight that the codes stand for, not rounded to the dtype of the scales."""
    found = weight.quantised()
    scale, zero = found.grid.spread(found.points, weight.columns)
    return (found.codes.double() - zero.double()) * scale.double()


def bytes_of(x_RI: Tensor) -> Tensor:
    """Inputs as the kernels read them: rounded to 8 bits, with a scale for each chunk of columns."""
    columns = x_RI.shape[-1]
    x_RCS = _chunks(x_RI.double())
    scale = x_RCS.abs().amax(-1, keepdim=True) / 127
    scale = scale.where(scale > 0, torch.ones_like(scale))
    return ((x_RCS / scale).round() * scale).flatten(-2)[..., :columns]


def bound(x_RI: Tensor, weight_OI: Tensor) -> Tensor:
    """Sum over the chunks of half a step of the inputs times the sum of the weights: no entry (R, O) is off further."""
    half_step_RC = _chunks(x_RI.double()).abs().amax(-1) / 254
    return half_step_RC @ _chunks(weight_OI).abs().sum(-1).T


def mixture(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """SwiGLU experts, token by token; inputs of both products as the kernels read them. N stands for no expert."""
    out = torch.zeros(x_TD.shape, dtype=torch.float64)
    read_TD = bytes_of(x_TD)
    for token, chosen in enumerate(index_TK.tolist()):
        for place, expert in enumerate(chosen):
            if expert < len(down):
                gate, up = (gate_up[expert] @ read_TD[token]).chunk(2)
                hidden = F.silu(gate) * up * weight_TK[token, place].double()
                out[token] += down[expert] @ bytes_of(hidden[None])[0]
    return out


def _chunks(rows: Tensor) -> Tensor:
    columns = rows.shape[-1]
    return F.pad(rows, (0, -columns % CHUNK)).unflatten(-1, (-1, CHUNK))
