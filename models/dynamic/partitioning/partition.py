"""Iterative Mode Partition: which entries of dynamic weights become static (PAD-Net, He et al., arXiv 2211.05528)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...sparsity.budgets import Schedule
from ...sparsity.masked import Masked
from ...sparsity.scoring import Evidence, LossFunction
from ...sparsity.selection import Group, choose
from ..layer import DynamicLayer
from ..mode_partition import Scale
from .candidates import Granularity, ModeCandidates, open_masks
from .report import PartitionReport, describe_partition
from .scores import Criterion, Partitionable, entry_effects, finish, references
from .ties import refuse_ties
from .warm_up import WarmUp, warm_up

Scope = Literal["global", "local"]
Start = Literal["mean", "random"]


def dynamic_layers(model: nn.Module) -> dict[str, DynamicLayer]:
    """The dynamic layers of a model by dotted name, one that several modules share under its first name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, DynamicLayer)}


def partition(
    model: nn.Module,
    ratio: float = 0.3,
    *,
    criterion: Criterion = "switch",
    batches: Iterable[Any] | None = None,
    loss_fn: LossFunction | None = None,
    scope: Scope = "global",
    rounds: int = 1,
    schedule: Schedule = "exponential",
    granularity: Granularity = "weight",
    scale: Scale = "both",
    static: Start = "mean",
    warmup: WarmUp | None = None,
    generator: torch.Generator | None = None,
) -> PartitionReport:
    """Make the share `ratio` (kappa) of each dynamic model's weights stay dynamic and the others static, in place.

    All starts dynamic. In each of `rounds` every candidate is scored by `criterion` (`scores.py`), on `batches` with
    `loss_fn(model, batch)` -> scalar, in eval mode, and those of least score turn static, where they stay: after round
    t of T, kappa^(t/T) of them are left dynamic by the "exponential" schedule, 1 - (1 - kappa) t/T by the "linear"
    one. Exactly round(kappa N) of N candidates stay, for scope="local" of every layer; equal scores are ranked by
    position. Candidates are single weights, output rows or input channels (`granularity`); the two latter make the
    deployed form faster. Nothing is re-initialised; make the optimizer afterwards.

    `scale`: which scale factors train, and "pruned" drops the static part. `static`: the static weight starts as the
    mean of the kernels, which for a pre-trained model is its weight, or "random" as N(0, 2 / fan_out), the law of the
    released code. `generator` (`torch.Generator`): for what is random.

    Raises `ModelError`, and leaves the model as it was, for a ratio outside [0, 1], a model without dynamic layers or
    with partitioned ones, a criterion without its data, scores that are not finite, and scores that all tie. The
    latter happens to "switch" where static and dynamic weights are copies of one: take criterion="remove", or
    `warmup=WarmUp()`, a few steps of training before.

    Example::

        make_dynamic(model, config)
        report = partition(model, 0.3, batches=batches, loss_fn=loss, rounds=3, granularity="row")
        report.dynamic_ratio, report.stored_share
    """
    _check(ratio, criterion, scope, schedule, granularity, static, rounds)
    named = _partitionable(model)
    layers = list(named.values())
    evidence = Evidence(
        model=model,
        batches=None if batches is None else list(batches),
        loss_fn=loss_fn,
        generator=generator,
    )
    with _undone_on_error(layers):
        for layer in layers:
            layer.set_partition(static=_static_start(layer, static, generator), scale=scale)
        if warmup is not None:
            _warm_up(layers, evidence, warmup)
        candidates = ModeCandidates([layer.weight_shape for layer in layers], granularity, finish(criterion))
        groups = _groups(candidates.sizes, ratio, scope)
        keep, ties = _choose(named, candidates, groups, evidence, criterion, rounds, schedule)
        for layer, mask in zip(layers, candidates.masks(keep), strict=True):
            assert layer.partition is not None
            layer.partition.set_mask(mask.to(layer.bank.device))
    return describe_partition(named, criterion=criterion, granularity=granularity, ratio=ratio, ties=ties)


def _choose(
    named: Mapping[str, DynamicLayer],
    candidates: ModeCandidates,
    groups: Sequence[Group],
    evidence: Evidence,
    criterion: Criterion,
    rounds: int,
    schedule: Schedule,
) -> tuple[list[Tensor], int]:
    """Which candidates stay dynamic, and how many tied at the border."""
    names = list(named)
    layers = list(named.values())
    with open_masks(layers) as masks:
        found = Partitionable(layers=layers, masks=masks, evidence=evidence, criterion=criterion)

        first = True

        def effects() -> list[Tensor]:
            nonlocal first
            scores = entry_effects(found, names)
            if first:
                refuse_ties(candidates, groups, scores, references(found, scores), criterion, names)
            first = False
            return scores

        # The choice in rounds looks at nothing but `stored` of a layer: what is out is set to 0, and so to static.
        as_layers = cast("Sequence[Masked]", masks)
        as_granularity = cast(Any, candidates)  # it is asked for scores and entries, and removes nothing
        return choose(as_granularity, groups, as_layers, effects, rounds=rounds, schedule=schedule)


def _groups(sizes: Sequence[int], ratio: float, scope: Scope) -> list[Group]:
    """What is ranked together: the candidates of all layers, or of each by itself."""
    if scope == "global":
        total = sum(sizes)
        return [Group(parts=range(len(sizes)), left=total, keep=round(ratio * total))]
    return [Group(parts=[i], left=size, keep=round(ratio * size)) for i, size in enumerate(sizes)]


def _static_start(layer: DynamicLayer, start: Start, generator: torch.Generator | None) -> Tensor | None:
    """The static weight to begin with; None is the layer's own choice, the mean of the kernels."""
    if start == "mean":
        return None
    if generator is None:
        raise ModelError("static='random' needs a generator: torch.Generator().manual_seed(seed)")
    shape = layer.weight_shape
    fan_out = shape.numel() // shape[1]
    drawn = torch.randn(shape, generator=generator) * (2 / fan_out) ** 0.5
    return drawn.to(layer.bank)


def _warm_up(layers: Sequence[DynamicLayer], evidence: Evidence, how: WarmUp) -> None:
    if evidence.batches is None or evidence.loss_fn is None:
        raise ModelError("warmup needs batches and loss_fn(model, batch)")
    warm_up(evidence.model, layers, evidence.batches, evidence.loss_fn, how)


@contextmanager
def _undone_on_error(layers: Sequence[DynamicLayer]) -> Iterator[None]:
    """Leave no partition, and no trace of a warm-up, where something goes wrong."""
    states = [{name: value.detach().clone() for name, value in layer.state_dict().items()} for layer in layers]
    try:
        yield
    except BaseException:
        for layer, state in zip(layers, states, strict=True):
            layer.partition = None
            layer.load_state_dict(state)
        raise


def _partitionable(model: nn.Module) -> dict[str, DynamicLayer]:
    named = dynamic_layers(model)
    if not named:
        raise ModelError(f"{type(model).__name__} has no dynamic layer: make_dynamic(model, config) first")
    for name, layer in named.items():
        if layer.compact is not None:
            raise ModelError(f"{name} has its compact form, whose partition is fixed: partition before compact(model)")
        if layer.partition is not None and layer.partition.ratio < 1:
            raise ModelError(
                f"{name} is partitioned already, {layer.partition.ratio:.3g} of it is dynamic: a partition starts from "
                "a model that is dynamic as a whole"
            )
    return named


def _check(ratio: float, criterion: str, scope: str, schedule: str, granularity: str, static: str, rounds: int) -> None:
    if not 0 <= ratio <= 1:  # NaN is not, either
        raise ModelError(f"ratio={ratio} is the share that stays dynamic and must lie between 0 and 1")
    check_choice("criterion", criterion, get_args(Criterion))
    check_choice("scope", scope, get_args(Scope))
    check_choice("schedule", schedule, get_args(Schedule))
    check_choice("granularity", granularity, get_args(Granularity))
    check_choice("static", static, get_args(Start))
    if not isinstance(rounds, int) or rounds < 1:
        raise ModelError(f"rounds={rounds!r} must be a whole number, at least 1")
