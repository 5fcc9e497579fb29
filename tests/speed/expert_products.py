"""One layer of experts by each way to multiply with weights of fewer bits, and by bfloat16.

Each is a call `(x (T, D), index (T, K), weight (T, K)) -> (T, D)` over the same experts. The peers take the rows of one
expert after the other, as transformers' own loop does, with the product of their library.
"""

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.compression.quantisation import Grid, PackedTensor
from sparsebench.models.compression.quantisation.grid import round_to_nearest
from sparsebench.models.moe.experts.dispatch import run_experts
from sparsebench.models.moe.experts.eager import Weights, loop_experts

# Shapes: T tokens, K chosen experts, R rows of one expert, N experts, D width, M hidden neurons, O outputs, I inputs.

Layer = Callable[[Tensor, Tensor, Tensor], Tensor]
Product = Callable[[Tensor], Tensor]
GRIDS = {"8 bits": Grid(bits=8, group_size=None), "4 bits": Grid(bits=4, group_size=64)}


def layers(gate_up: Tensor, down: Tensor) -> dict[str, Layer]:
    """By name: ours in bfloat16 and in packed weights, and the peers. gate_up (N, 2M, D), down (N, D, M), bfloat16."""
    plain = Weights(gate_up, down, None, True, F.silu)
    other = Weights(gate_up.clone(), down.clone(), None, True, F.silu)  # one must not warm the weights of the other
    found: dict[str, Layer] = {
        "bfloat16, our kernels": lambda x, index, weight: run_experts(x, index, weight, plain),
        "bfloat16, oneDNN": lambda x, index, weight: loop_experts(x, index, weight, other),
    }
    for name, grid in GRIDS.items():
        found[f"{name}, our kernels"] = _packed(gate_up, down, grid)
    makers: dict[str, Callable[[Tensor], Product]] = {
        "8 bits of weights alone, torch": _weights_alone,
        "8 bits, oneDNN": _dynamic("onednn"),
        "8 bits, FBGEMM": _dynamic("x86"),
    }
    if find_spec("torchao") is not None:
        makers["8 bits, torchao"] = _torchao
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries on what they will remove
        for name, maker in makers.items():
            found[name] = _looped([maker(one) for one in gate_up], [maker(one) for one in down])
    return found


def _packed(gate_up: Tensor, down: Tensor, grid: Grid) -> Layer:
    weights = [
        nn.Parameter(PackedTensor.of(round_to_nearest(one, grid)), requires_grad=False) for one in (gate_up, down)
    ]
    packed = Weights(weights[0], weights[1], None, True, F.silu)
    return lambda x, index, weight: run_experts(x, index, weight, packed)


def _looped(gate_up: list[Product], down: list[Product]) -> Layer:
    def layer(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor) -> Tensor:
        out_TD = torch.zeros_like(x_TD)
        for expert in index_TK.unique().tolist():
            token_R, place_R = torch.where(index_TK == expert)
            gate, up = gate_up[expert](x_TD[token_R]).chunk(2, dim=-1)
            part_RD = down[expert](F.silu(gate) * up) * weight_TK[token_R, place_R, None]
            out_TD.index_add_(0, token_R, part_RD.to(out_TD.dtype))
        return out_TD

    return layer


def _weights_alone(weight_OI: Tensor) -> Product:
    """`torch._weight_int8pack_mm`: inputs stay in bfloat16."""
    scale_O = weight_OI.float().abs().amax(1) / 127
    codes = (weight_OI.float() / scale_O[:, None]).round().to(torch.int8)
    scale_O = scale_O.to(weight_OI.dtype)
    return lambda rows: torch.ops.aten._weight_int8pack_mm(rows, codes, scale_O)


def _dynamic(engine: str) -> Callable[[Tensor], Product]:
    """Torch's own quantised linear layer: inputs are rounded to 8 bits with one scale for all rows."""

    def maker(weight_OI: Tensor) -> Product:
        torch.backends.quantized.engine = engine
        scale_O = weight_OI.float().abs().amax(1) / 127
        zero_O = torch.zeros(len(scale_O), dtype=torch.int64)
        codes = torch.quantize_per_channel(weight_OI.float(), scale_O, zero_O, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(codes, None)
        return lambda rows: torch.ops.quantized.linear_dynamic(rows.float(), packed).to(rows.dtype)

    return maker


def _torchao(weight_OI: Tensor) -> Product:
    torchao: Any = import_module("torchao.quantization")

    linear: Any = nn.Sequential(nn.Linear(weight_OI.shape[1], weight_OI.shape[0], bias=False, dtype=weight_OI.dtype))
    linear[0].weight.data = weight_OI.clone()
    torchao.quantize_(linear, torchao.Int8DynamicActivationInt8WeightConfig())
    return linear
