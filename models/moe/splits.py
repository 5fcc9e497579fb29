"""Partitions of hidden neurons into a shared block and experts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import MoEConfig


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Indices of the neurons of the shared block and of each expert (int64, one dimension)."""

    shared: Tensor
    experts: tuple[Tensor, ...]

    @property
    def order(self) -> Tensor:
        """All indices in storage order: shared, then expert by expert."""
        return torch.cat((self.shared, *self.experts))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of neurons of each expert."""
        return tuple(len(expert) for expert in self.experts)


def block_sizes(hidden: int, blocks: int) -> tuple[int, ...]:
    """Sizes of `blocks` blocks that sum to `hidden` and differ by at most 1, larger first."""
    small, larger = divmod(hidden, blocks)
    return (small + 1,) * larger + (small,) * (blocks - larger)


def random_split(neurons: Tensor, sizes: Sequence[int], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Independent-Random of LLaMA-MoE: a uniform random partition."""
    return neurons[torch.randperm(len(neurons), generator=generator)].split(list(sizes))


def sequential_split(neurons: Tensor, sizes: Sequence[int], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Neighbouring neurons together, in the order of the dense layer."""
    return neurons.split(list(sizes))


SPLITS: dict[str, Callable[[Tensor, Sequence[int], torch.Generator], tuple[Tensor, ...]]] = {
    "random": random_split,
    "sequential": sequential_split,
}


def partition(hidden: int, config: MoEConfig, importance: Tensor | None, generator: torch.Generator) -> Partition:
    """Cut `hidden` neurons as `config` says.

    The shared block holds the neurons of greatest `importance` (hidden,), or random ones when it is None.
    """
    sizes = block_sizes(hidden, config.num_experts)
    num_shared = sum(sizes[: config.num_shared])
    if importance is None:
        importance = torch.rand(hidden, generator=generator)
    ranked = importance.argsort(descending=True, stable=True)
    shared, rest = ranked[:num_shared].sort().values, ranked[num_shared:].sort().values
    return Partition(shared=shared, experts=SPLITS[config.split](rest, sizes[config.num_shared :], generator))
