"""Pruning of a model's linear maps to exact counts: magnitude, Wanda, router-weighted Wanda, SparseGPT."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...sparsity.criteria import magnitude
from ..linear.expert_linears import linear_maps
from ..linear.layerwise import MEMORY, layerwise
from ..linear.linear_map import LinearMap, Part, check_parts
from ..linear.moments import Moments
from ..linear.names import Names
from ..scarce import warn_scarce
from .patterns import Pattern, removed_by
from .report import PrunedLinear, PruningReport
from .sparsegpt import sparsegpt
from .undo import Undo
from .wanda import wanda

# Shapes: O outputs, I inputs of a linear map.

Criterion = Literal["magnitude", "wanda", "sparsegpt"]


@dataclass(frozen=True, kw_only=True)
class PruningConfig:
    """What goes, and by which criterion.

    Attributes:
        method: "magnitude" |w|; "wanda" |w| times the norm of the input over the calibration tokens (Sun et al., arXiv
            2306.11695), only those that reached the expert; "sparsegpt" also updates the weights that stay (arXiv
            2301.00774).
        pattern: one of `Pattern`; None is the method's own: "row" for "wanda", whose paper ranks the weights of each
            output, else "unstructured".
        sparsity: the fraction of zeros; None is what "n:m" says, else 0.5.
        parts: whose linear maps are pruned.
        router_weighted: weigh each token by what the router multiplies the expert with, for "wanda" the criterion of
            MoE-Pruner (arXiv 2410.12013).
        min_tokens: maps that fewer tokens reach are pruned by magnitude, and reported.
        block_size: of SparseGPT: columns between two updates of the rest.
        damping: of SparseGPT: what is added to the diagonal of H, as a fraction of its mean.
        memory: bytes of moments at once.
        targets: regular expressions on names of maps, such as `model.layers.0.mlp.experts[0].gate`: only those in which
            one is found are pruned (`linear/names.py`).
        ignore: regular expressions on names of maps that stay as they are.
        sequential: the inputs of a block are those that the pruned blocks before it give, as in the papers of the two
            methods; else those of the model as it was, as in the released code of the unified compression of mixtures
            (arXiv 2406.02500), for models whose blocks all hand on to each other.

    Raises:
        ModelError: values out of range.
    """

    method: Criterion = "wanda"
    pattern: str | None = None
    sparsity: float | None = None
    parts: tuple[Part, ...] = ("experts",)
    router_weighted: bool = False
    min_tokens: int = 1
    block_size: int = 128
    damping: float = 0.01
    memory: int = MEMORY
    sequential: bool = True
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(Criterion))
        check_parts(self.parts)
        _ = self.names  # which refuses what is no regular expression
        _ = self.zeros  # which refuses what no pattern is
        for name in ("min_tokens", "block_size", "memory"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}={getattr(self, name)} must be 1 or more")
        if self.damping < 0:
            raise ModelError(f"damping={self.damping} must be 0 or more")
        if self.router_weighted and (self.method == "magnitude" or self.parts != ("experts",)):
            raise ModelError(
                "router_weighted weighs tokens of routed experts: method wanda or sparsegpt, parts experts"
            )

    @property
    def names(self) -> Names:
        """Which maps are meant."""
        return Names(tuple(self.targets), tuple(self.ignore))

    @property
    def zeros(self) -> Pattern:
        """Where zeros may lie, and how many."""
        name = self.pattern
        if name is None:
            name = "row" if self.method == "wanda" else "unstructured"
        sparsity = self.sparsity
        if sparsity is None:
            sparsity = removed_by(name)
        return Pattern(name, sparsity)


@torch.no_grad()
def prune(
    model: nn.Module,
    config: PruningConfig,
    batches: Iterable[object] = (),
    *,
    undo: bool = True,
    folder: str | Path | None = None,
) -> PruningReport:
    """Set weights of a model to 0, in place.

    Magnitude needs no batches and no pass. The others go block by block: the inputs of a block are those that the
    pruned blocks before it give, as in the papers of Wanda and SparseGPT, or with `config.sequential` False those of
    the model as it was. Router, shared experts, attention and dense FFNs stay as they are unless `config.parts` names
    them; biases always do. Sparsity 0 changes no bit. A map that fewer tokens reach than a quarter of its inputs is a
    warning.

    Args:
        model: a model whose anatomy is known.
        config: what goes, and by which criterion.
        batches: calibration data, run as `model(**batch)` for mappings, else `model(batch)`.
        undo: keep the old weights in a temporary file, so that an error leaves the model as it was; without, nothing is
            written, and an error leaves what was pruned by then.
        folder: where that file lies; None is the system's folder, which may be memory.

    Returns:
        Zeros, tokens and error of each linear map.

    Raises:
        ModelError: parts that the model does not have, weights or inputs that are NaN or infinite, weights that several
            maps share or that are packed, and no calibration token. The model stays as it was, with `undo`.

    Example: `print(prune(mixtral, PruningConfig(method="wanda", pattern="2:4"), batches))`.
    """
    maps = linear_maps(model, config.parts)
    chosen = config.names.chosen([one.name for one in maps], "linear maps")
    maps = [one for one, meant in zip(maps, chosen, strict=True) if meant]
    _check(maps)
    pattern = config.zeros
    done: dict[LinearMap, PrunedLinear] = {}
    with Undo(folder, active=undo) as kept, closing(_with_moments(model, config, maps, batches)) as streamed:
        for one, seen in streamed:
            kept.keep(one)
            done[one] = _prune_one(one, seen, pattern, config)
        if all(found.tokens == 0 for found in done.values()):
            raise ModelError("no calibration token reached any of the linear maps: pass batches with unmasked tokens")
    report = PruningReport(method=config.method, linears=tuple(done[one] for one in maps))
    warn_scarce([(one.name, one.tokens or 0, one.shape[1]) for one in report.scarce])
    return report


def _with_moments(
    model: nn.Module, config: PruningConfig, maps: Sequence[LinearMap], batches: Iterable[object]
) -> Generator[tuple[LinearMap, Moments | None]]:
    if config.method == "magnitude":
        for one in maps:
            yield one, None
        return
    yield from layerwise(
        model,
        batches,
        maps,
        full=config.method == "sparsegpt",
        weighted=config.router_weighted,
        memory=config.memory,
        sequential=config.sequential,
    )


def _prune_one(one: LinearMap, seen: Moments | None, pattern: Pattern, config: PruningConfig) -> PrunedLinear:
    criterion: Criterion = "magnitude"
    if seen is not None and seen.tokens >= config.min_tokens:
        criterion = config.method
    asked = pattern.zeros(*one.shape)
    if asked:
        one.write(_pruned(one.weight, criterion, seen, pattern, config))
    return PrunedLinear(
        name=one.name,
        part=one.part,
        shape=one.shape,
        criterion=criterion,
        tokens=None if seen is None else seen.tokens,
        asked=asked,
        zeros=int((one.weight == 0).sum()),
    )


def _pruned(
    weight_OI: Tensor, criterion: Criterion, seen: Moments | None, pattern: Pattern, config: PruningConfig
) -> Tensor:
    """The matrix after pruning (O, I)."""
    if criterion == "sparsegpt":
        assert seen is not None
        return sparsegpt(weight_OI, seen.matrix, pattern, block_size=config.block_size, damping=config.damping)
    (score_OI,) = magnitude([weight_OI])
    if criterion == "wanda":
        assert seen is not None
        score_OI = wanda(weight_OI, seen.columns)
    return weight_OI.masked_fill(~pattern.keep(score_OI), 0)


def _check(maps: Sequence[LinearMap]) -> None:
    """Refuse what would fail half-way, or be pruned twice."""
    owners: dict[tuple[int, int], str] = {}
    for one in maps:
        weight = one.weight
        # As a `quantisation.PackedTensor` has them; importing that would make its kernels code of every pruned cell.
        if hasattr(weight, "codes"):
            raise ModelError(f"{one.name} is quantised: prune before that, or `dequantise(model)` first")
        if not weight.isfinite().all():
            raise ModelError(f"{one.name} holds NaN or infinite weights: nothing was pruned")
        place = (weight.untyped_storage().data_ptr(), int(weight.storage_offset()))
        if place in owners:
            raise ModelError(f"{one.name} shares its weights with {owners[place]}: give each weights of its own first")
        owners[place] = one.name
