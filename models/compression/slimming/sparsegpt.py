"""SparseGPT: weights go column by column, and those not yet looked at make up for them (arXiv 2301.00774)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModelError
from ..linear.moments import inverse_factor
from .patterns import Pattern, fraction_of, keep_greatest

# Shapes: O outputs, I inputs, B columns of a block, M of a group of n:m.


def sparsegpt(
    weight_OI: Tensor, moments_II: Tensor, pattern: Pattern, *, block_size: int = 128, damping: float = 0.01
) -> Tensor:
    """The pruned matrix (O, I) with updated weights, in float32 or better (Frantar & Alistarh, algorithm 1).

    `moments_II` is the sum of x xᵀ over calibration tokens; `damping` times the mean of its diagonal is added to that.
    Which weights of a block of `block_size` columns go is decided when the block is reached, by w² / U_jj² with the
    upper Cholesky factor U of the inverse; for n:m when the group is reached. So that counts are exact, the share of a
    block is that of all columns up to its end minus what went before. Inputs that never differ from 0 are not emptied
    as a whole: their weights go first.

    Raises `ModelError` where blocks cut groups of n:m apart, and for moments that cannot be inverted.
    """
    if pattern.group is not None and block_size % pattern.group[1]:
        raise ModelError(f"block_size={block_size} has to be a multiple of the group of {pattern.name}")
    precise = torch.promote_types(weight_OI.dtype, torch.float32)
    pruned_OI = weight_OI.detach().to(precise, copy=True)
    upper_II = inverse_factor(moments_II, damping).to(precise)
    # A weight on an input that is always 0 is worth nothing, which damping hides.
    spread_I = upper_II.diagonal().masked_fill(moments_II.diagonal() == 0, float("inf"))
    inputs = pruned_OI.shape[1]
    for start in range(0, inputs, block_size):
        end = min(start + block_size, inputs)
        # A block's own columns are updated at once, all later ones with one product after it.
        here = slice(start, end)
        error_OB = _block(pruned_OI[:, here], upper_II[here, here], spread_I[here], pattern, start)
        pruned_OI[:, end:] -= error_OB @ upper_II[start:end, end:]
    return pruned_OI


def _block(weight_OB: Tensor, upper_BB: Tensor, spread_B: Tensor, pattern: Pattern, start: int) -> Tensor:
    """Prune the columns of a block in place, the smallest |w| / spread first.

    Gives (w - q) / U_jj (O, B), by which later columns move.
    """
    error_OB = torch.zeros_like(weight_OB)
    keep_OB = torch.ones_like(weight_OB, dtype=torch.bool)
    if pattern.group is None:
        keep_OB = _keep_in_block(weight_OB / spread_B, pattern, start)
    for column in range(weight_OB.shape[1]):
        if pattern.group is not None and column % pattern.group[1] == 0:
            group = slice(column, column + pattern.group[1])
            keep_OB[:, group] = pattern.keep((weight_OB[:, group] / spread_B[group]).abs())
        lost_O = weight_OB[:, column].masked_fill(keep_OB[:, column], 0) / upper_BB[column, column]
        # This column's own entry of U makes the pruned weight 0 but for rounding; it is set below.
        weight_OB[:, column:] -= lost_O.unsqueeze(1) * upper_BB[column, column:]
        error_OB[:, column] = lost_O
    weight_OB.masked_fill_(~keep_OB, 0)
    return error_OB


def _keep_in_block(ratio_OB: Tensor, pattern: Pattern, start: int) -> Tensor:
    """The weights of a block that stay, of the matrix ("unstructured") or of each row."""
    outputs, columns = ratio_OB.shape
    score_SC = ratio_OB.abs()
    height = 1
    if pattern.name == "unstructured":
        score_SC = score_SC.reshape(1, -1)
        height = outputs
    before = fraction_of(pattern.sparsity, height * start)
    zeros = fraction_of(pattern.sparsity, height * (start + columns)) - before
    return keep_greatest(score_SC, zeros).view(outputs, columns)
