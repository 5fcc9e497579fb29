"""KernelWarehouse (arXiv 2406.07879) as OSVAI/KernelWarehouse saves it: recognised, and refused with the reason."""

from __future__ import annotations

from typing import NoReturn

from ..errors import ModelError
from .checkpoint import Checkpoint

REASON = (
    "is a KernelWarehouse of the official code, whose layers are others than `WarehouseConfig` makes: its attentions "
    "normalise their hidden units over the batch, each mixture has one more weight, of a cell of zeros, and cells are "
    "blocks of outputs by inputs at one tap, not runs of a flattened kernel. It is not read, as no layer here computes "
    "what it does"
)


def build(checkpoint: Checkpoint) -> NoReturn:
    """Raises `ModelError`: there is nothing here that such a checkpoint fits.

    Args:
        checkpoint: in this layout.
    """
    raise ModelError(f"{checkpoint.place} {REASON}")
