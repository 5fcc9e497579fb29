"""Products with experts that share a static part: that part once a token, in the form that the mask allows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..compact_weights import CompactWeights
from ..mode_partition import Layout, ModePartition
from .products import MadeExperts, eager_on_cpu, made, routed_linear

# Shapes: T tokens, I inputs, O outputs, E experts, K chosen experts, D dynamic and C static rows or channels.


def partitioned_linear(
    x_TI: Tensor,
    index_TK: Tensor,
    weight_TK: Tensor,
    bank_EOI: Tensor,
    partition: ModePartition,
    total_T1: Tensor | None = None,
) -> Tensor:
    """sum_k w_k x (λ_d M ⊙ W_{e_k} + λ_s (1 - M) ⊙ W_static)^T, (T, O), for weights w that sum to 1.

    `total_T1`: their sum, where it is 1 but has a gradient of its own (a straight-through gate).

    Whole rows or channels (`ModePartition.layout`) are cut out: the static ones are multiplied once a token, the
    others by the chosen experts. A mask of single entries leaves nothing to cut out: multiplying the static part once
    would add its work to that of the experts, so that each expert's used weight is made and multiplied instead. (While
    scores are taken the mask is a number with a gradient, which needs that form, too.)
    """
    structure = "weight" if partition.is_relaxed else partition.layout().structure
    if structure == "weight":
        factor_OI = partition.dynamic_factor()
        static_OI = partition.static_part()
        return routed_linear(x_TI, index_TK, weight_TK, made(bank_EOI, lambda bank: bank * factor_OI + static_OI))
    # λ_d goes to the weights of the experts, which are far fewer numbers than the matrices.
    scaled_TK = weight_TK * partition.lambda_dynamic.to(weight_TK.dtype)
    if structure == "dynamic":
        return routed_linear(x_TI, index_TK, scaled_TK, bank_EOI)
    if structure == "static":
        return _static(x_TI, partition.static, partition, total_T1)
    if structure == "row":
        return _rows(x_TI, index_TK, scaled_TK, bank_EOI, partition, total_T1)
    return _channels(x_TI, index_TK, scaled_TK, bank_EOI, partition, total_T1)


def static_once(
    x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, bank_EOI: Tensor, partition: ModePartition
) -> Tensor:
    """The same for a mask of any form: x (λ_s (1 - M) ⊙ W_static)^T + sum_k w_k x (λ_d M ⊙ W_{e_k})^T."""
    dynamic_EOI = bank_EOI * partition.dynamic_factor()
    return F.linear(x_TI, partition.static_part()) + routed_linear(x_TI, index_TK, weight_TK, dynamic_EOI)


def compact_linear(
    x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: CompactWeights, total_T1: Tensor | None = None
) -> Tensor:
    """The same of the deployed form, whose static rows or channels and those of each expert lie apart already."""
    if weights.unit == "weight":
        if len(x_TI) == 1 and weights.can_lend(x_TI):
            return _one_token(x_TI, index_TK, weight_TK, weights)
        return routed_linear(x_TI, index_TK, weight_TK, _whole_experts(weights))
    dynamic, static = weights.indices()
    if len(static) == 0:
        return routed_linear(x_TI, index_TK, weight_TK, weights.dynamic)
    x_TD = x_TC = x_TI
    if weights.unit == "channel":
        x_TD = x_TI.index_select(1, dynamic)
        x_TC = x_TI.index_select(1, static)
    y_T = routed_linear(x_TD, index_TK, weight_TK, weights.dynamic)
    if weights.static is None:
        once_T = y_T.new_zeros(y_T.shape[0], len(static) if weights.unit == "row" else y_T.shape[1])
    else:
        once_T = F.linear(x_TC, weights.static)
    if total_T1 is not None:
        once_T = once_T * total_T1.to(once_T.dtype)
    if weights.unit == "channel":
        return y_T + once_T
    return torch.cat((y_T, once_T), dim=1).index_select(1, weights.order())


def _whole_experts(weights: CompactWeights) -> Tensor | MadeExperts:
    """Experts of single dynamic entries: each a copy of the static weight into which its own entries go."""
    if torch.is_grad_enabled() or not eager_on_cpu(weights.mask):
        return weights.used_bank()
    base = weights.static_base(weights.dynamic.dtype).flatten()
    dynamic = weights.true_indices()
    return MadeExperts(weights.dynamic, lambda own: base.index_copy(0, dynamic, own).view(weights.shape))


def _one_token(x_1I: Tensor, index_1K: Tensor, weight_1K: Tensor, weights: CompactWeights) -> Tensor:
    """The chosen experts as one matrix: one product, whatever their number."""
    fractions_1E = weight_1K.new_zeros(1, weights.kernels).scatter(1, index_1K, weight_1K)
    part = weights.one_part(fractions_1E.to(weights.dynamic.dtype))
    lent = weights.lent(part.dtype)
    weight_OI = lent.take(part)
    y_1O = F.linear(x_1I, weight_OI)
    lent.give_back(weight_OI)
    return y_1O


def _static(x_TI: Tensor, weight: Tensor, partition: ModePartition, total_T1: Tensor | None) -> Tensor:
    """λ_s x W^T, for some rows or channels of the static weight; zeros where the static part is pruned."""
    if partition.scale == "pruned":
        return x_TI.new_zeros(x_TI.shape[0], len(weight))
    y_TO = F.linear(x_TI, weight)
    scale = partition.lambda_static.to(y_TO.dtype)
    if total_T1 is not None:
        scale = scale * total_T1.to(y_TO.dtype)
    return y_TO * scale


def _rows(
    x_TI: Tensor,
    index_TK: Tensor,
    weight_TK: Tensor,
    bank_EOI: Tensor,
    partition: ModePartition,
    total_T1: Tensor | None,
) -> Tensor:
    layout = partition.layout()
    rows = made(bank_EOI, lambda bank: bank.index_select(-2, layout.dynamic))
    y_TD = routed_linear(x_TI, index_TK, weight_TK, rows)
    y_TC = _static(x_TI, partition.static.index_select(0, layout.static), partition, total_T1)
    return torch.cat((y_TD, y_TC.to(y_TD.dtype)), dim=1).index_select(1, _places(layout))


def _channels(
    x_TI: Tensor,
    index_TK: Tensor,
    weight_TK: Tensor,
    bank_EOI: Tensor,
    partition: ModePartition,
    total_T1: Tensor | None,
) -> Tensor:
    layout = partition.layout()
    x_TD = x_TI.index_select(1, layout.dynamic)
    channels = made(bank_EOI, lambda bank: bank.index_select(-1, layout.dynamic))
    y_TO = routed_linear(x_TD, index_TK, weight_TK, channels)
    x_TC = x_TI.index_select(1, layout.static)
    return y_TO + _static(x_TC, partition.static.index_select(1, layout.static), partition, total_T1)


def _places(layout: Layout) -> Tensor:
    """Where each row of the layer lies among the dynamic rows and the static ones behind them."""
    return torch.cat((layout.dynamic, layout.static)).argsort()
