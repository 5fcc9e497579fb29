"""Mixtures whose layers keep different numbers of blocks always on, at one number of active blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor, nn

from ....anatomy import MLP, describe
from ....calibration.ffn_samples import Calibration
from ....errors import ModelError
from ....evaluation import evaluation_mode
from ....hub.declaration import declare
from ...config import MoEConfig
from ...routing.padding import hand_over_masks
from ..convert import convert
from ..preconditions import feed_forwards
from .beam import beam_search
from .suffix import SuffixDivergence

Model = TypeVar("Model", bound=nn.Module)
Modules = tuple[nn.Module, ...]


def active_blocks(config: MoEConfig) -> int:
    """Blocks that are on for a token: the shared ones and those that it chooses."""
    return config.num_shared + config.top_k


def of_layer(config: MoEConfig, shared: int) -> MoEConfig:
    """The conversion of a layer that shares so many blocks; as many as before are on for a token.

    A router that learns by its weights still does where one expert is chosen, whose weight is always 1.

    Args:
        config: the uniform conversion.
        shared: from 0 to `active_blocks(config)` - 1.
    """
    top_k = active_blocks(config) - shared
    normed = config.score == "topk_softmax" or (config.score == "softmax_topk" and config.renorm)
    learns = normed and (config.top_k > 1 or config.straight_through) and not config.densemixer
    return replace(config, num_shared=shared, top_k=top_k, straight_through=learns and top_k == 1)


def convert_by_layer(
    model: Model, config: MoEConfig, shared: Sequence[int], calibration: Calibration | None = None
) -> Model:
    """Convert every FFN, in place, each with its own number of shared blocks.

    Args:
        model: a dense model.
        config: the uniform conversion, whose `active_blocks` each layer has.
        shared: shared blocks of each FFN, in order.
        calibration: what `calibrate` returned of the model.

    Returns:
        The model; where all numbers are that of `config`, the very mixture that `convert` makes.

    Raises:
        ModelError: not one number for each FFN, or what `convert` refuses: FFNs that were converted before stay so.
    """
    ffns = feed_forwards(describe(model))
    if len(shared) != len(ffns):
        raise ModelError(f"shared={tuple(shared)} for {len(ffns)} feed-forward layers")
    for number in sorted(set(shared)):
        layers = tuple(ffn.block for ffn, own in zip(ffns, shared, strict=True) if own == number)
        convert(model, replace(of_layer(config, number), layers=layers), calibration)
    return model


@dataclass(frozen=True)
class Allocation:
    """Shared blocks of each FFN, and the divergence from the dense model that they and the uniform numbers have."""

    shared: tuple[int, ...]
    divergence: float
    uniform_divergence: float


def convert_by_search(
    model: nn.Module, config: MoEConfig, calibration: Calibration, batches: Iterable[object], *, width: int = 4
) -> Allocation:
    """Convert every FFN, in place, with shared blocks by beam search on the divergence of the model's outputs.

    From the first layer to the last, each of 0 ... active - 1 shared blocks is tried on each allocation of the beam; it
    is scored by KL(dense || layers so far converted, the rest dense). The numbers of the whole are compared with the
    uniform ones, too. It takes (width + 1) * active runs of the rest of the model for each layer, and memory for
    `active` mixtures of one layer and for the layers of the beam.

    Args:
        model: a dense causal language model.
        config: the uniform conversion.
        calibration: what `calibrate` returned of the model.
        batches: what the divergence is measured on.
        width: of the beam.

    Returns:
        What was found; the model has it.

    Raises:
        ModelError: what `convert` refuses, and a model whose blocks cannot run one by one.
    """
    ffns = feed_forwards(describe(model))
    blocks = [ffn.block for ffn in ffns]
    with evaluation_mode(model):
        candidates = _Candidates(model, config, calibration, [ffn.mlp for ffn in ffns], blocks, batches)
        best, uniform = beam_search(
            len(blocks),
            range(active_blocks(config)),
            candidates.start,
            candidates.extend,
            width=width,
            uniform=config.num_shared,
        )
    for ffn, modules in zip(ffns, best.state.modules, strict=True):
        ffn.mlp.replace(*modules)
    hand_over_masks(model)
    declare(model, "moe")
    return Allocation(best.numbers, best.score, uniform.score)


@dataclass(frozen=True)
class _Prefix:
    """Mixtures of the layers so far, and what they give: the hidden states that enter the next FFN's block."""

    modules: tuple[Modules, ...]
    hidden: tuple[Tensor, ...]


class _Candidates:
    def __init__(
        self,
        model: nn.Module,
        config: MoEConfig,
        calibration: Calibration,
        mlps: Sequence[MLP],
        blocks: Sequence[int],
        batches: Iterable[object],
    ) -> None:
        self.model = model
        self.config = config
        self.calibration = calibration
        self.mlps = mlps
        self.blocks = blocks
        self.suffix = SuffixDivergence(model, batches)
        self.start = _Prefix((), self.suffix.through(self.suffix.start, 0, blocks[0]))
        self.made: dict[tuple[int, int], Modules] = {}

    def extend(self, prefix: _Prefix, layer: int, shared: int) -> tuple[_Prefix, float]:
        """One more layer with so many shared blocks, and the divergence when the rest is dense."""
        mlp = self.mlps[layer]
        dense = [site.get() for site in mlp.parts]
        modules = self._made(layer, shared)
        following = self.blocks[layer + 1] if layer + 1 < len(self.blocks) else len(self.suffix.modules)
        mlp.replace(*modules)
        try:
            hidden = self.suffix.through(prefix.hidden, self.blocks[layer], following)
        finally:
            mlp.replace(*dense)
        score = self.suffix.divergence(hidden, following)
        return _Prefix((*prefix.modules, modules), hidden), score

    def _made(self, layer: int, shared: int) -> Modules:
        key = (layer, shared)
        if key not in self.made:
            # Of the layers before, the beam holds what it needs.
            self.made = {known: modules for known, modules in self.made.items() if known[0] == layer}
            mlp = self.mlps[layer]
            dense = [site.get() for site in mlp.parts]
            convert(self.model, replace(of_layer(self.config, shared), layers=(self.blocks[layer],)), self.calibration)
            self.made[key] = tuple(site.get() for site in mlp.parts)
            mlp.replace(*dense)
        return self.made[key]
