"""Wanda: a weight counts as much as it moves the output over the calibration tokens (arXiv 2306.11695)."""

from __future__ import annotations

from torch import Tensor

from ...sparsity.criteria import magnitude

# Shapes: O outputs, I inputs.


def wanda(weight_OI: Tensor, columns_I: Tensor) -> Tensor:
    """|W_ij| ||x_j|| (O, I), in float32 or better (Sun et al., equation 1).

    `columns_I` is the sum of x_j² over the tokens; with x_j² times the square of the router's weight of the token it is
    the criterion of MoE-Pruner (Xie et al., arXiv 2410.12013). The norm is of all tokens together: norms of parts of
    them do not add up to it.
    """
    (size_OI,) = magnitude([weight_OI])
    return size_OI.to(columns_I.dtype) * columns_I.sqrt()
