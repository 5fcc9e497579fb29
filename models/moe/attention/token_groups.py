"""Who attends to whom: sequences found in an attention mask, and (token, expert) pairs in the order of the experts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ...errors import ModelError

# Shapes: B batch rows, S new tokens of a row, T = B * S, V visible slots of a row (past + S), K chosen experts,
# P pairs of a token that is no padding and an expert, S pairs with padding.

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
    _, _, length, slots = mask.shape
    mask_BSV = mask[:, 0].expand(batch, -1, -1)
    additive = mask.dtype != torch.bool
    seen_BSV = mask_BSV > torch.finfo(mask.dtype).min / 2 if additive else mask_BSV
    # The new tokens are the last slots: a token that may see its own slot is no padding.
    present_BS = seen_BSV.diagonal(slots - length, dim1=1, dim2=2)
    row_T = torch.arange(batch, device=mask.device).repeat_interleave(length)
    rows = Layout(torch.where(present_BS.flatten(), row_T, batch), batch, mask.new_empty(0))
    biased = additive and bool(mask_BSV[seen_BSV].any())
    if biased or not blocks:
        return rows
    return _blocks(seen_BSV, present_BS, rows, packed=packed)


def _blocks(seen_BSS: Tensor, present_BS: Tensor, rows: Layout, *, packed: bool) -> Layout:
    """`rows` without a mask where it says what causal sequences do; a sequence is known by its first token."""
    slot_S = torch.arange(seen_BSS.shape[1], device=seen_BSS.device)
    # The first slot that a token sees is where its sequence starts; -1 for padding.
    first_BS = torch.where(present_BS, seen_BSS.byte().argmax(-1), -1)
    starts_BS = present_BS & (first_BS == slot_S)
    one_per_row = bool((starts_BS.sum(-1) <= 1).all())
    if not (packed or one_per_row):
        return rows
    # What the mask would be if each token saw its own sequence up to itself, and nothing else.
    same_BSS = (first_BS.unsqueeze(2) == first_BS.unsqueeze(1)) & present_BS.unsqueeze(2)
    if not torch.equal(same_BSS.tril(), seen_BSS & present_BS.unsqueeze(2)):
        return rows
    if one_per_row:
        return rows._replace(mask=None)
    # Sequences are numbered through the batch in the order of their starts.
    number_BS = (starts_BS.flatten().cumsum(0) - 1).view_as(first_BS)
    sequence_BS = number_BS.gather(1, first_BS.clamp(min=0))
    count = int(starts_BS.sum())
    return Layout(torch.where(present_BS, sequence_BS, count).flatten(), count, None)


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
        pieces = [tensor.split(sizes) for tensor in tensors_P]
        return zip(*pieces, strict=True)


def plan_pairs(index_TK: Tensor, layout: Layout, experts: int) -> Plan:
    """Sort the chosen experts of all tokens but padding."""
    sequences = layout.sequences
    padding = experts * sequences
    sequence_T1 = layout.sequence.unsqueeze(-1)
    # One number for an expert and a sequence, so that one stable sort does for both; that of padding is the last one.
    cell_TK = torch.where(sequence_T1 < sequences, index_TK * sequences + sequence_T1, padding)
    cell_S = cell_TK.flatten()
    counts = torch.bincount(cell_S, minlength=padding + 1)[:padding].view(experts, sequences).tolist()
    pairs = sum(sum(row) for row in counts)
    pair_P = cell_S.argsort(stable=True)[:pairs]
    return Plan(pair_P // index_TK.shape[1], pair_P, counts)
