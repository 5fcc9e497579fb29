"""How convolutions are made to share cells."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ModelError
from ..config import DynamicConfig


@dataclass(frozen=True, kw_only=True)
class WarehouseConfig(DynamicConfig):
    """Shared cells after KernelWarehouse in place of the convolutions of a network (`warehouse.py`: what differs).

    `num_kernels` and `noise` have no meaning here and keep their defaults.

    Attributes:
        budget: b, cells of a warehouse for each cell of the kernels that share it (b = n / m): 1 keeps the number of
            kernel parameters, 1/2 halves it. A network starts as what it was where it is at least 1; below, kernel
            cells that share one start from their mean.
        shortcuts: as in `ConvConfig`.
        last: as in `ConvConfig`.
        reduction: as in `ConvConfig`.
    """

    budget: float = 1.0
    shortcuts: bool = True
    last: bool = True
    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.budget < float("inf"):
            raise ModelError(f"budget={self.budget}: cells of a warehouse for each cell of its kernels, above 0")
        if self.reduction < 1:
            raise ModelError(f"reduction={self.reduction}: inputs are divided by it, so it is at least 1")
        if self.num_kernels != DynamicConfig.num_kernels or self.noise != DynamicConfig.noise:
            raise ModelError("a warehouse has cells, not kernels: give `budget`, not `num_kernels` or `noise`")
