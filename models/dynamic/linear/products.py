"""Products of tokens with the matrices of the experts that they chose: the fastest exact form for the shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...moe.experts.grouped_product import product_of_groups
from ...moe.experts.rows import pieces, scratch

# Shapes: T tokens, I inputs, O outputs, E experts, K chosen experts, S = T * K (token, expert) pairs, R rows of one.

FEW_PAIRS = 8
"""Up to so many (token, expert) pairs they are taken one by one where nobody wants a gradient: no sorting."""


class MadeExperts:
    """E matrices, each made of what is stored of its expert when it is asked for: what nobody chose costs nothing."""

    def __init__(self, stored: Tensor, make: Callable[[Tensor], Tensor]) -> None:
        self.dtype = stored.dtype
        self._stored = stored.unbind()
        self._make = make

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, expert: int) -> Tensor:
        return self._make(self._stored[expert])


Matrices = Sequence[Tensor] | MadeExperts


class Plan(NamedTuple):
    """The pairs sorted by expert: how many each expert has, the token of each (S,), and its place in (T, K) (S,)."""

    counts: list[int]
    token: Tensor
    order: Tensor


def routed_linear(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, bank: Tensor | MadeExperts) -> Tensor:
    """sum_k w_k x W_{e_k}^T, (T, O), with `bank` (E, O, I) or made from one; weights w in any floating dtype.

    On a GPU one grouped product. Elsewhere tokens are sorted by expert, so that each expert multiplies one block of
    rows; a few pairs are taken one by one. All forms are the same sum, rounded in another order.
    """
    if torch.compiler.is_compiling() or x_TI.is_cuda:
        assert isinstance(bank, Tensor)  # `made` gives no other in a graph or on a GPU
        return _grouped(x_TI, index_TK, weight_TK, bank)
    # Not by index: the backward of an index makes a zero tensor as large as all experts, once for each expert.
    matrices = bank.unbind() if isinstance(bank, Tensor) else bank
    if torch.is_grad_enabled() or index_TK.is_meta or len(x_TI) == 0:
        return _sorted(x_TI, index_TK, weight_TK, matrices)
    if len(x_TI) == 1 or (isinstance(bank, Tensor) and index_TK.numel() <= FEW_PAIRS):
        return _one_by_one(x_TI, index_TK, weight_TK, matrices)
    if x_TI.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x_TI.dtype != bank.dtype:
        return _sorted(x_TI, index_TK, weight_TK, matrices)
    return _into_scratch(x_TI, index_TK, weight_TK, matrices)


def made(bank_EOI: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor | MadeExperts:
    """make(bank) for experts made alike: all at once where a gradient is wanted or on a GPU, else the chosen ones.

    `make` maps (..., O, I) to (..., O', I').
    """
    if torch.is_grad_enabled() or not eager_on_cpu(bank_EOI):
        return make(bank_EOI)
    return MadeExperts(bank_EOI, make)


def eager_on_cpu(tensor: Tensor) -> bool:
    """Whether it costs nothing to ask which experts were chosen: not on a GPU, without numbers, or in a graph."""
    return not (tensor.is_cuda or tensor.is_meta or torch.compiler.is_compiling())


def routed_bias(index_TK: Tensor, weight_TK: Tensor, bias_EO: Tensor) -> Tensor:
    """sum_k w_k b_{e_k}, (T, O)."""
    gates_TE = weight_TK.new_zeros(index_TK.shape[0], len(bias_EO)).scatter(1, index_TK, weight_TK)
    return gates_TE.to(bias_EO.dtype) @ bias_EO


def plan(index_TK: Tensor, experts: int) -> Plan:
    """Sort the pairs by expert, earlier tokens first."""
    index_S = index_TK.flatten()
    order_S = index_S.argsort(stable=True)
    return Plan(_counts(index_S, experts), order_S // index_TK.shape[1], order_S)


def _counts(index_S: Tensor, experts: int) -> list[int]:
    """Pairs of each expert; on the meta device, where numbers are unknown, all experts have alike many."""
    if index_S.is_meta:
        few, larger = divmod(len(index_S), experts)
        return [few + 1] * larger + [few] * (experts - larger)
    return torch.bincount(index_S, minlength=experts).tolist()


def _sorted(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, matrices: Matrices) -> Tensor:
    if len(x_TI) == 0:
        return F.linear(x_TI, matrices[0])
    pairs = plan(index_TK, len(matrices))
    weight_S1 = weight_TK.flatten()[pairs.order].unsqueeze(-1)
    parts = []
    for expert, token_R in enumerate(pairs.token.split(pairs.counts)):
        if len(token_R):
            parts.append(F.linear(x_TI.index_select(0, token_R), matrices[expert]))
    out_SO = torch.cat(parts)
    out_SO = out_SO * weight_S1.to(out_SO.dtype)
    return out_SO.new_zeros(len(x_TI), out_SO.shape[1]).index_add(0, pairs.token, out_SO)


def _into_scratch(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, matrices: Matrices) -> Tensor:
    """The same without a gradient: rows lie in memory that is kept, and are weighed and added up in one pass."""
    pairs = plan(index_TK, len(matrices))
    rows_SI = scratch("linear rows", (len(pairs.token), x_TI.shape[1]), x_TI)
    torch.index_select(x_TI, 0, pairs.token, out=rows_SI)
    out_SO = x_TI.new_empty(0)
    first = 0
    for expert, rows_RI in enumerate(rows_SI.split(pairs.counts)):
        if len(rows_RI) == 0:
            continue
        matrix_OI = matrices[expert]
        if first == 0:
            out_SO = scratch("linear outputs", (len(rows_SI), len(matrix_OI)), x_TI)
        out_RO = out_SO[first : first + len(rows_RI)]
        for part_RI, target_RO in zip(pieces(rows_RI), pieces(out_RO), strict=True):
            torch.mm(part_RI, matrix_OI.T, out=target_RO)
        first += len(rows_RI)
    # The inverse of the order: where the row of each pair lies.
    place_S = torch.empty_like(pairs.order)
    place_S[pairs.order] = torch.arange(len(place_S), device=place_S.device)
    place_TK = place_S.view_as(index_TK)
    return F.embedding_bag(place_TK, out_SO, mode="sum", per_sample_weights=weight_TK.to(out_SO.dtype))


def _one_by_one(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, matrices: Matrices) -> Tensor:
    rows = []
    for token, chosen in enumerate(index_TK.tolist()):
        x_1I = x_TI[token : token + 1]
        row_1O = 0
        for place, expert in enumerate(chosen):
            product_1O = F.linear(x_1I, matrices[expert])
            row_1O = row_1O + product_1O * weight_TK[token, place].to(product_1O.dtype)
        rows.append(row_1O)
    return torch.cat(rows) if rows else F.linear(x_TI, matrices[0])


def _grouped(x_TI: Tensor, index_TK: Tensor, weight_TK: Tensor, bank_EOI: Tensor) -> Tensor:
    """No number goes to the host: the row behind the last one of each expert is found on the device."""
    index_S = index_TK.flatten()
    sorted_S, order_S = index_S.sort(stable=True)
    token_S = order_S // index_TK.shape[1]
    bounds_E = torch.arange(1, len(bank_EOI) + 1, device=index_S.device)
    ends_E = torch.searchsorted(sorted_S, bounds_E).to(torch.int32)
    out_SO = product_of_groups(x_TI[token_S], bank_EOI.transpose(1, 2), ends_E)
    out_SO = out_SO * weight_TK.flatten()[order_S].to(out_SO.dtype).unsqueeze(-1)
    return out_SO.new_zeros(x_TI.shape[0], bank_EOI.shape[1]).index_add(0, token_S, out_SO)
