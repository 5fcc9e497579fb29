"""What a split is given and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...calibration.hooks import FFNSample
from ...errors import ModelError
from ..config import MoEConfig
from ..routing.start import Neurons
from .importance import importance

# Shapes: T tokens, F hidden neurons, D width, N routed experts.


@dataclass(frozen=True, kw_only=True)
class SplitInput:
    """One FFN to cut, F neurons of width D.

    Attributes:
        neurons: gate (None without) and up (F, D) with their biases, and the activation.
        down: (D, F).
        sample: what calibration saw of it: T tokens.
        document: (T,) the example that each token came from.
        embedding: (examples, width) one vector for each example.
        config: says how.
        generator: random numbers.
    """

    neurons: Neurons
    down: Tensor
    sample: FFNSample | None
    document: Tensor | None
    embedding: Tensor | None
    config: MoEConfig
    generator: torch.Generator

    @property
    def hidden(self) -> int:
        """Number of neurons F."""
        return self.down.shape[1]

    @property
    def block_sizes(self) -> tuple[int, ...]:
        """Neurons of each of the `num_experts` blocks, those of the shared ones first."""
        return block_sizes(self.hidden, self.config.num_experts)

    @property
    def shared_size(self) -> int:
        """Neurons of the shared block."""
        return sum(self.block_sizes[: self.config.num_shared])

    @property
    def expert_sizes(self) -> tuple[int, ...]:
        """Neurons of each routed expert."""
        return self.block_sizes[self.config.num_shared :]

    def need_sample(self) -> FFNSample:
        """The calibration sample.

        Raises:
            ModelError: there is none; the message says what to pass.
        """
        if self.sample is None:
            raise ModelError(
                f"split={self.config.split!r} needs activations: pass calibration data "
                "(batches, or what calibrate(model, batches) returned)"
            )
        return self.sample

    def importance(self) -> Tensor:
        """Importance of each neuron (F,) over all tokens, as `config.importance` says."""
        return importance(self.need_sample(), self.down, self.config.importance)


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Which neurons go together: int64 indices, one dimension, on the CPU.

    Attributes:
        shared: the neurons of the shared block.
        experts: those of each expert.
        centroids: (N, D) the cluster of FFN inputs that each expert serves, if the split has one.
        representatives: (N,) the most typical neuron of each expert, likewise.
    """

    shared: Tensor
    experts: tuple[Tensor, ...]
    centroids: Tensor | None = None
    representatives: Tensor | None = None

    @property
    def order(self) -> Tensor:
        """All indices in storage order: shared, then expert by expert. A neuron of two experts is there twice."""
        return torch.cat((self.shared, *self.experts))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of neurons of each expert."""
        return tuple(len(expert) for expert in self.experts)

    def missing(self, hidden: int) -> Tensor:
        """Neurons of 0..hidden-1 that are in no block, ascending."""
        present = torch.zeros(hidden, dtype=torch.bool)
        present[self.order] = True
        return (~present).nonzero().squeeze(1)


def block_sizes(hidden: int, blocks: int) -> tuple[int, ...]:
    """Sizes of blocks of neurons that differ by at most 1, larger first.

    Args:
        hidden: neurons in all.
        blocks: how many blocks.

    Returns:
        The sizes, which sum to `hidden`.
    """
    small, larger = divmod(hidden, blocks)
    return (small + 1,) * larger + (small,) * (blocks - larger)


def ranked(score_F: Tensor) -> Tensor:
    """Indices by falling score; equal scores by rising index."""
    return score_F.argsort(descending=True, stable=True)


def set_apart(inp: SplitInput) -> tuple[Tensor, Tensor]:
    """The shared block, of the most important neurons (random ones without calibration), and the rest, both ascending.

    The rest is a multiple of the experts' sizes only when all blocks are equal; `expert_sizes` always sum to it.
    """
    if inp.shared_size == 0:
        score = torch.zeros(inp.hidden)
    elif inp.sample is None:
        score = torch.rand(inp.hidden, generator=inp.generator)
    else:
        score = inp.importance()
    order = ranked(score)
    shared = order[: inp.shared_size]
    rest = order[inp.shared_size :]
    return shared.sort().values, rest.sort().values


def cut(neurons: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Consecutive pieces of these sizes, each ascending."""
    return tuple(piece.sort().values for piece in neurons.split(list(sizes)))
