"""Second moments of the inputs of a linear map, summed over calibration tokens: of columns, or of pairs of columns."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ModelError

# Shapes: R tokens, I inputs.


class Moments:
    """Sums over tokens, in float32 or better (float64 for the columns); `tokens` says how many.

    With `full`, `matrix` (I, I) is sum g² x xᵀ, the Hessian of the squared error of the outputs by a row of weights but
    for a factor; else `columns` (I,) is its diagonal, sum g² x². g is the router's weight of a token where it is given,
    and 1 elsewhere.
    """

    def __init__(self, inputs: int, *, full: bool) -> None:
        self.inputs = inputs
        self.full = full
        self.tokens = 0
        self._columns: Tensor | None = None
        self._matrix: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the sums take when there are tokens, for inputs in float32."""
        return self.inputs * self.inputs * 4 if self.full else self.inputs * 8

    @property
    def columns(self) -> Tensor:
        """sum g² x² (I,), float64."""
        if self._matrix is not None:
            return self._matrix.diagonal().double()
        assert self._columns is not None, "no token was added"
        return self._columns

    @property
    def matrix(self) -> Tensor:
        """sum g² x xᵀ (I, I)."""
        assert self._matrix is not None, "no token was added, or full=False"
        return self._matrix

    def add(self, x_RI: Tensor, gate_R: Tensor | None = None) -> None:
        """Add the tokens of a batch."""
        self.tokens += len(x_RI)
        if gate_R is not None:
            x_RI = x_RI * gate_R.unsqueeze(1)
        if self.full:
            if self._matrix is None:
                self._matrix = x_RI.new_zeros(self.inputs, self.inputs)
            self._matrix.addmm_(x_RI.T, x_RI)
            return
        squares_I = x_RI.double().square().sum(0)
        self._columns = squares_I if self._columns is None else self._columns + squares_I


def inverse_factor(moments_II: Tensor, damping: float) -> Tensor:
    """Upper triangular U (float64) with UᵀU = (H + damping mean(diag H) I)⁻¹.

    U_jj² is the j-th diagonal entry of the inverse of H without the rows and columns before j, which is what a greedy
    pass from left to right needs: one factor holds the inverses of all remaining sub-problems.

    Args:
        moments_II: H.
        damping: what is added to its diagonal, as a fraction of its mean.

    Returns:
        U.

    Raises:
        ModelError: it cannot be inverted with this damping.
    """
    # Float64: moments of inputs that go together are nearly singular, and the inverse multiplies their rounding.
    damped_II = moments_II.to(torch.float64, copy=True)
    damped_II.diagonal().add_(damping * damped_II.diagonal().mean())
    lower_II, failed = torch.linalg.cholesky_ex(damped_II)
    if failed:
        raise ModelError(f"the second moments of the inputs cannot be inverted with damping={damping}: raise it")
    return torch.linalg.cholesky(torch.cholesky_inverse(lower_II), upper=True)
