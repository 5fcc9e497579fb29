"""Who attends to whom: sequences found in an attention mask, and (token, expert) pairs in the order of the experts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ...errors import ModelError

# Shapes: B batch rows, S new tokens of a row, T = B * S, V visible slots of a row (past + S), K chosen experts,
# P pairs of a token that is no padding and an expert.

_layouts: WeakIdKeyDictionary = WeakIdKeyDictionary()  # by mask, while it lives


class Layout(NamedTuple):
    """How the tokens fall into sequences.

    `sequence` (T,): the sequence of each token, `sequences` for padding. `mask` (B, S, V): None when every token sees
    exactly its own sequence up to itself; else what may be seen, boolean or additive, and then the sequences are the
    batch rows.
    """

    sequence: Tensor
    sequences: int
    mask: Tensor | None

    def present(self) -> Tensor:
        """Which tokens are no padding (T,)."""
        return self.sequence < self.sequences


def layout_of(mask: Tensor | None, x_BSD: Tensor, *, blocks: bool, packed: bool) -> Layout:
    """The layout that a mask (B or 1, 1, S, V), boolean (true: seen) or additive, gives to the S newest of V slots.

    A token that may not see itself is padding. With `blocks` the mask is dropped where causal sequences without gaps
    say the same; the sequences are the batch rows unless `packed`. Raises `ModelError` for another kind of mask.
    """
    batch, length, _ = x_BSD.shape
    if mask is None:
        return Layout(torch.arange(batch, device=x_BSD.device).repeat_interleave(length), batch, None)
    if not isinstance(mask, Tensor) or mask.dim() != 4 or mask.shape[1] != 1 or mask.shape[2] != length:
        raise ModelError(
            f"attention experts take masks (batch, 1, {length}, keys), not {getattr(mask, 'shape', type(mask))}: set "
            "attn_implementation to 'sdpa' or 'eager'"
        )
    found = _remembered(mask, batch, blocks, packed)
    return found if found.mask is None else found._replace(mask=mask[:, 0].expand(batch, -1, -1))


def _remembered(mask: Tensor, batch: int, blocks: bool, packed: bool) -> Layout:
    """The layout, found once for all layers of a model; its mask is empty where one is needed.

    A mask that was changed in place counts as new; one made in inference mode does not tell, so it always does.
    """
    if mask.is_inference():
        return _found(mask, batch, blocks, packed)
    key = (mask._version, batch, blocks, packed)
    known = _layouts.get(mask)
    if known is None or known[0] != key:
        known = _layouts[mask] = key, _found(mask, batch, blocks, packed)
    return known[1]


def _found(mask: Tensor, batch: int, blocks: bool, packed: bool) -> Layout:
    mask_BSV, length = mask[:, 0].expand(batch, -1, -1), mask.shape[2]
    seen = mask_BSV if mask.dtype == torch.bool else mask_BSV > torch.finfo(mask.dtype).min / 2
    present = seen.diagonal(mask.shape[-1] - length, dim1=1, dim2=2)
    row_T = torch.arange(batch, device=mask.device).repeat_interleave(length)
    rows = Layout(torch.where(present.flatten(), row_T, batch), batch, mask.new_empty(0))
    if not blocks or (mask.dtype != torch.bool and mask_BSV[seen].any()):
        return rows
    return _blocks(seen, present, rows, packed=packed)


def _blocks(seen_BSS: Tensor, present_BS: Tensor, rows: Layout, *, packed: bool) -> Layout:
    """`rows` without a mask where it says what causal sequences do; a sequence is known by its first token."""
    slot = torch.arange(seen_BSS.shape[1], device=seen_BSS.device)
    first = torch.where(present_BS, seen_BSS.byte().argmax(-1), -1)
    same = (first.unsqueeze(2) == first.unsqueeze(1)) & present_BS.unsqueeze(2)
    starts = present_BS & (first == slot)
    alone = bool((starts.sum(-1) <= 1).all())
    if not (packed or alone) or not torch.equal(same.tril(), seen_BSS & present_BS.unsqueeze(2)):
        return rows
    if alone:
        return rows._replace(mask=None)
    number = (starts.flatten().cumsum(0) - 1).view_as(first).gather(1, first.clamp(min=0))
    count = int(starts.sum())
    return Layout(torch.where(present_BS, number, count).flatten(), count, None)


class Plan(NamedTuple):
    """Pairs sorted by expert, then sequence, then token.

    `token` (P,), `pair` (P,) index into the flattened (T, K) choice, `counts[expert][sequence]` numbers of pairs.
    """

    token: Tensor
    pair: Tensor
    counts: list[list[int]]

    def by_expert(self, *tensors_P: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """The part of each expert of tensors that have a row for each pair."""
        # split, not slices: the backward of a slice makes a zero tensor of the whole, once for each expert.
        sizes = [sum(row) for row in self.counts]
        return zip(*(tensor.split(sizes) for tensor in tensors_P), strict=True)


def plan_pairs(index_TK: Tensor, layout: Layout, experts: int) -> Plan:
    """Sort the chosen experts of all tokens but padding."""
    sequences, top_k = layout.sequences, index_TK.shape[1]
    sequence_T1 = layout.sequence.unsqueeze(-1)
    cell = torch.where(sequence_T1 < sequences, index_TK * sequences + sequence_T1, experts * sequences).flatten()
    counts = torch.bincount(cell, minlength=experts * sequences + 1)[:-1].view(experts, sequences).tolist()
    pair = cell.argsort(stable=True)[: sum(map(sum, counts))]
    return Plan(pair // top_k, pair, counts)
