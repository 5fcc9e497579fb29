"""Operations of what torch's flop counter does not know, by the shapes of the arguments; a multiply-add is two.

Shapes: query (B, H, T, E), key (B, G, S, E), value (B, G, S, F), where G heads may serve H queries: the formulas of
torch want G = H before version 2.10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

Shape = Sequence[int]


def _product(left: Shape, right: Shape) -> int:
    """(..., n, k) by (..., k, m) or (k,)."""
    return 2 * math.prod(left) * (right[-1] if len(right) > 1 else 1)


def _of_two(left: Shape, right: Shape, *args: object, **keywords: object) -> int:
    return _product(left, right)


def _added(added_to: Shape, left: Shape, right: Shape, *args: object, **keywords: object) -> int:
    return _product(left, right)


def _grouped_mm(rows: Shape, weights: Shape, *args: object, **keywords: object) -> int:
    """Rows (tokens, in) against stacked weights (experts, in, out), the experts kernel of transformers."""
    return 2 * rows[0] * weights[-2] * weights[-1]


def _attention(query: Shape, key: Shape, value: Shape, *args: object, **keywords: object) -> int:
    """Scores and weighted values, every key against every query whatever the mask."""
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[-2] * (width + value[-1])


def _attention_backward(grad: Shape, query: Shape, key: Shape, value: Shape, *args: object, **keywords: object) -> int:
    """The scores once more, and the gradients of weights, values, queries and keys: as torch counts it on a GPU."""
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[-2] * (3 * width + 2 * value[-1])


def _recurrent(x: Shape, weights: Sequence[Shape]) -> int:
    """Every matrix of the layers once for each row (..., in)."""
    matrices = sum(math.prod(weight) for weight in weights if len(weight) == 2)
    return 2 * math.prod(x[:-1]) * matrices


def _cpu_rnn(x: Shape, inward: Shape, recurrent: Shape, *args: object, **keywords: object) -> int:
    return _recurrent(x, (inward, recurrent))


def _cpu_rnn_backward(x: Shape, inward: Shape, recurrent: Shape, *args: object, **keywords: object) -> int:
    """Of the rows and of the matrices, each as much as forward."""
    return 2 * _recurrent(x, (inward, recurrent))


def _gpu_rnn(x: Shape, weights: Sequence[Shape], *args: object, **keywords: object) -> int:
    return _recurrent(x, weights)


def _gpu_rnn_backward(x: Shape, weights: Sequence[Shape], *args: object, **keywords: object) -> int:
    return 2 * _recurrent(x, weights)


_ATEN = torch.ops.aten
FLOP_FORMULAS = {
    _ATEN._grouped_mm: _grouped_mm,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    _ATEN.mkldnn_rnn_layer: _cpu_rnn,
    _ATEN.mkldnn_rnn_layer_backward: _cpu_rnn_backward,
    _ATEN._cudnn_rnn: _gpu_rnn,
    _ATEN._cudnn_rnn_backward: _gpu_rnn_backward,
    _ATEN.mv: _of_two,
    _ATEN.addmv: _added,
    _ATEN.addmm_: _added,
    _ATEN.addbmm: _added,
    _ATEN.baddbmm_: _added,
    _ATEN._addmm_activation: _added,
}
"""By operator."""
