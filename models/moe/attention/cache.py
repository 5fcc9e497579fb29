"""Keys and values of routed tokens only, as a layer of the cache of transformers.

It takes the place of an empty layer of a `DynamicCache` at the first forward pass, so `generate` needs no override.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from ...errors import ModelError

# Shapes: L tokens routed to one expert in one batch row, C key/value heads of an expert, H head size.


_REPLACEABLE = (DynamicLayer, DynamicSlidingWindowLayer)


class Cell(NamedTuple):
    """What one expert keeps of one batch row: keys and values (L, C, H), and the slots of the tokens in the row (L,).

    Never changed in place, so cells can be shared by the beams of a search.
    """

    keys: Tensor
    values: Tensor
    slots: Tensor

    def extend(self, keys: Tensor, values: Tensor, slots: Tensor) -> Cell:
        """A cell with more tokens."""
        return Cell(
            torch.cat((self.keys, keys)),
            torch.cat((self.values, values)),
            torch.cat((self.slots, slots)),
        )

    def before(self, slot: int) -> Cell:
        """A cell without the tokens from `slot` on."""
        count = int((self.slots < slot).sum())
        return Cell(self.keys[:count], self.values[:count], self.slots[:count]).clone()

    def clone(self) -> Cell:
        """A cell with memory of its own."""
        return Cell(self.keys.clone(), self.values.clone(), self.slots.clone())


class ExpertCacheLayer(CacheLayerMixin):
    """Cells by batch row and expert, `rows[row][expert]` (None: nothing routed yet), and the number of slots seen.

    Slots count padding too. A sliding window limits what is seen, through the mask, not what is kept.
    """

    is_sliding = False
    is_croppable = True
    supports_early_init = False

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[Cell | None]] = []
        self.seen = 0
        self.is_initialized = True

    def start(self, batch: int, length: int, *, experts: int) -> None:
        """Make room for `length` more slots. Raises `ModelError` when the batch is not that of before."""
        if not self.rows:
            self.rows = [[None] * experts for _ in range(batch)]
        if len(self.rows) != batch:
            raise ModelError(f"the cache holds a batch of {len(self.rows)}, but the input has {batch} rows")
        self.seen += length

    def append(self, row: int, expert: int, new: Cell) -> Cell:
        """Keep the new tokens of a row that were routed to an expert; return all that it keeps of this row."""
        old = self.rows[row][expert]
        cell = new.clone() if old is None else old.extend(*new)
        self.rows[row][expert] = cell
        return cell

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to prepare."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        """Dense keys and values do not fit in here: always a `ModelError`."""
        raise ModelError("this cache was filled by a model with attention experts: give a dense model a new one")

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the slots a mask has to cover."""
        return self.seen + query_length, 0

    def get_seq_length(self) -> int:
        """Number of slots seen."""
        return self.seen

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    def reset(self) -> None:
        """Forget everything."""
        self.rows = []
        self.seen = 0

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row i becomes a copy of row beam_idx[i]."""
        self.batch_select_indices(beam_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last slots. Raises `ModelError` for a number that is not negative."""
        if tokens_to_remove > 0:
            raise ModelError(f"crop takes the number of tokens to remove as a negative number, not {tokens_to_remove}")
        self.seen = max(0, self.seen + tokens_to_remove)
        for row in self.rows:
            for expert, cell in enumerate(row):
                if cell is not None:
                    row[expert] = cell.before(self.seen)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row."""
        repeated = []
        for row in self.rows:
            for _ in range(repeats):
                repeated.append(list(row))
        self.rows = repeated

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order; `indices` may be a boolean mask."""
        if indices.dtype == torch.bool:
            indices = indices.nonzero().flatten()
        if self.rows:
            self.rows = [list(self.rows[index]) for index in indices.tolist()]


def layer_of(cache: Cache, index: int) -> ExpertCacheLayer:
    """The cache layer of the attention with this index, put in the place of an empty dynamic one.

    Raises `ModelError` for a static, quantised or offloaded cache and for one that holds dense keys and values.
    """
    while cache.layer_class_to_replicate is not None and len(cache.layers) <= index:
        cache.layers.append(cache.layer_class_to_replicate())
    layer = cache.layers[index]
    if isinstance(layer, ExpertCacheLayer):
        return layer
    if not isinstance(layer, DynamicLayer) or type(layer) not in _REPLACEABLE or cache.offloading:
        raise ModelError(
            f"a {type(cache).__name__} of {type(layer).__name__} cannot hold keys and values of experts: leave "
            "cache_implementation at its default, or pass a transformers.DynamicCache without offloading"
        )
    if layer.get_seq_length():
        raise ModelError("the cache holds keys and values of dense attention: start from an empty cache")
    cache.layers[index] = new = ExpertCacheLayer()
    return new
