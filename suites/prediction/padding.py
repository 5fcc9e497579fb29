"""Rows of different lengths as one batch, for bodies that are transformers over texts or molecules."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Shapes: B rows, T tokens of the longest of them, D columns.


class Padded(NamedTuple):
    """Rows of different lengths: values (B, T, D), zeros behind the end of a row, and a bool mask (B, T) of what is."""

    values: Tensor
    attention_mask: Tensor

    def to(self, device: Any, non_blocking: bool = False) -> "Padded":
        """The same on a device."""
        return Padded(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))

    def rows(self) -> list[Tensor]:
        """The rows (tokens, D) without padding."""
        return [row[seen] for row, seen in zip(*self, strict=True)]


def pad(rows: Sequence[Tensor]) -> Padded:
    """Rows (tokens, D) as one batch, as long as the longest of them."""
    lengths = torch.tensor([len(row) for row in rows])
    values = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return Padded(values, torch.arange(values.shape[1]) < lengths[:, None])
