"""What every configuration of a dynamic layer has."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelError


@dataclass(frozen=True, kw_only=True)
class DynamicConfig:
    """How the layers of a model are made dynamic; `ConvConfig` is for convolutions.

    Attributes:
        blocks: indices of the blocks of the model whose layers are made dynamic, or "all".
        num_kernels: K, kernels or experts for each layer; every one starts as a copy of the weight that was there.
        noise: standard deviation of what is added to each copy, as a fraction of that of the weight; with 0 the model
            computes at first what it did.
        seed: of all random numbers.

    Raises:
        ModelError: values that cannot work.
    """

    blocks: tuple[int, ...] | str = "all"
    num_kernels: int = 4
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_kernels < 1:
            raise ModelError(f"num_kernels={self.num_kernels}: a dynamic layer has at least one kernel")
        if not 0 <= self.noise < float("inf"):
            raise ModelError(f"noise={self.noise}: a fraction of the weight's standard deviation, from 0")
        if isinstance(self.blocks, str) and self.blocks != "all":
            raise ModelError(f"blocks={self.blocks!r}: indices of blocks, or 'all'")
