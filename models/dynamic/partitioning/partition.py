"""Iterative Mode Partition: which entries of dynamic weights become static (PAD-Net, He et al., arXiv 2211.05528)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...hub.declaration import declare
from ...sparsity.budgets import Schedule
from ...sparsity.scoring import Evidence, LossFunction
from ..layer import DynamicLayer
from ..mode_partition import ModePartition, Scale
from ..partially_dynamic import PartiallyDynamic
from .candidates import Granularity, ModeCandidates
from .choosing import Scope, choose_dynamic, groups_of
from .idle import freeze_idle
from .parts import Attentions, Kernels, Kind, Of, check_of, dynamic_layers, find_parts, parts_of
from .released import check_released
from .report import PartitionReport, attention_modes, layer_modes
from .scores import Criterion, finish
from .warm_up import WarmUp, warmed_up

Start = Literal["mean", "random"]


def partition(
    model: nn.Module,
    ratio: float = 0.3,
    *,
    criterion: Criterion = "switch",
    batches: Iterable[object] | None = None,
    loss_fn: LossFunction | None = None,
    scope: Scope = "global",
    rounds: int = 1,
    schedule: Schedule = "exponential",
    granularity: Granularity = "weight",
    scale: Scale = "both",
    static: Start = "mean",
    warmup: WarmUp | None = None,
    generator: torch.Generator | None = None,
    of: Of = "kernels",
    faithful: bool = False,
) -> PartitionReport:
    """Let the fraction kappa of each dynamic model's weights stay dynamic and make the others static, in place.

    Iterative Mode Partition (PAD-Net). All starts dynamic. In each round every candidate is scored, in eval mode, and
    those of least score turn static, where they stay: after round t of T, kappa^(t/T) of them are left dynamic by the
    "exponential" schedule, 1 - (1 - kappa) t/T by the "linear" one. So rounds nest; in the released code, whose single
    round is ours but for ties, they do not (`faithful`), and 6 to 15 % of the masks of two or three rounds differed.
    Exactly round(kappa N) of N candidates stay; equal scores are ranked by position. Nothing is re-initialised. What is
    left without any use has no gradient any more (`freeze_idle`); make the optimizer afterwards.

    A candidate of an attention is the factor of one channel, whatever the granularity; it turns into a constant, which
    starts as what the attention gives for a hidden vector of zeros. Every attention has its own pair of scales.

    Scores that all tie happen to "switch" where static and dynamic weights are copies of one, and to most criteria of
    attentions that were never trained, whose rows are 0: take criterion="remove", or `warmup=WarmUp()`.

    Args:
        model: what `make_dynamic` made.
        ratio: kappa, the fraction that stays dynamic, in [0, 1].
        criterion: what scores a candidate (`scores.py`).
        batches: data that the criterion, or the warm-up, runs on.
        loss_fn: `loss_fn(model, batch)` -> scalar, for the same.
        scope: "global" ranks all candidates together, "local" those of each layer.
        rounds: how many times candidates are scored.
        schedule: how many are left dynamic after each round, as above.
        granularity: candidates are single weights, output rows or input channels; the two latter make the deployed form
            faster.
        scale: which scale factors train; "pruned" drops the static part.
        static: the static weight starts as the "mean" of the kernels, which for a pre-trained model is its weight, or
            "random" as N(0, 2 / fan_out), the law of the released code.
        warmup: a few steps of training for the scores, where kernels and static weight are copies. The model that is
            partitioned is the one from before them, so that its training has no lead over another one's.
        generator: for what is random.
        of: the "kernels" of all layers, the "attentions" of ODConv for input channels, filters and taps (those that the
            released code masks; that for kernels stays as it is), or "both": each kind is then ranked by itself and
            keeps round(kappa N) of its own N, since a factor acts on a whole channel, so that in one ranking its effect
            would stand before those of single weights. There is no law for static="random" of an attention: it is
            refused.

        faithful: rounds as the released code has them (`released.py`): each chooses among all candidates again, so that
            what turned static may come back, and all that tie at the threshold turn static, more than kappa asks for.

    Returns:
        How many entries of each layer and attention are dynamic, what the deployed form stores, and the ties.

    Raises:
        ModelError: a ratio outside [0, 1], with `faithful` what the released code has not, a model without dynamic
            layers or with partitioned ones, attentions asked for where no layer is an ODConv, a criterion without its
            data, scores that are not finite or all tie. The model stays as it was.

    Example::

        make_dynamic(model, config)
        report = partition(model, 0.3, batches=batches, loss_fn=loss, rounds=3, granularity="row")
        report.dynamic_ratio, report.stored_share
    """
    _check(ratio, criterion, scope, schedule, granularity, static, rounds)
    check_of(of, static)
    if faithful:
        check_released(criterion, granularity, of)
    kinds = find_parts(model, of)
    evidence = Evidence(
        model=model,
        batches=None if batches is None else list(batches),
        loss_fn=loss_fn,
        generator=generator,
    )
    layers = list(dynamic_layers(model).values())
    parts = parts_of(kinds)
    with _undone_on_error(layers):
        for kind in kinds:
            for name, part in kind.named.items():
                part.set_partition(static=_static_start(kind, name, static, generator), scale=scale)
        shapes = [part.weight_shape for part in parts.values()]
        candidates = ModeCandidates(shapes, granularity, finish(criterion))
        groups = groups_of(kinds, candidates.sizes, ratio, scope)
        released = ratio if faithful else None
        with _warmed_up(layers, evidence, warmup):
            keep, ties = choose_dynamic(kinds, candidates, groups, evidence, criterion, rounds, schedule, released)
        for part, mask in zip(parts.values(), candidates.masks(keep), strict=True):
            assert part.partition is not None
            part.partition.set_mask(mask.to(part.partition.mask.device))
    freeze_idle(model)
    declare(model, "dynamic")
    return _report(kinds, criterion=criterion, granularity=granularity, ratio=ratio, ties=ties)


def _report(kinds: Sequence[Kind], **said: Any) -> PartitionReport:
    modes: dict[str, Any] = {"layers": ()}
    for kind in kinds:
        if isinstance(kind, Kernels):
            modes["layers"] = layer_modes(kind.named)
        else:
            modes["attentions"] = attention_modes(kind.named)
    return PartitionReport(**modes, **said)


def _static_start(kind: Kind, name: str, start: Start, generator: torch.Generator | None) -> Tensor | None:
    """The static weight to begin with; None is the part's own choice."""
    if start == "mean" or isinstance(kind, Attentions):
        return kind.start(name)
    if generator is None:
        raise ModelError("static='random' needs a generator: torch.Generator().manual_seed(seed)")
    layer = kind.named[name]
    shape = layer.weight_shape
    fan_out = shape.numel() // shape[1]
    drawn = torch.randn(shape, generator=generator) * (2 / fan_out) ** 0.5
    return drawn.to(layer.bank)


def _warmed_up(layers: Sequence[DynamicLayer], evidence: Evidence, how: WarmUp | None) -> AbstractContextManager[None]:
    if how is None:
        return nullcontext()
    if evidence.batches is None or evidence.loss_fn is None:
        raise ModelError("warmup needs batches and loss_fn(model, batch)")
    return warmed_up(evidence.model, layers, evidence.batches, evidence.loss_fn, how)


@contextmanager
def _undone_on_error(layers: Sequence[DynamicLayer]) -> Iterator[None]:
    """Leave the partitions that there were where something goes wrong."""
    partitions: list[tuple[PartiallyDynamic, ModePartition | None]] = []
    for layer in layers:
        parts = [module for module in layer.modules() if isinstance(module, PartiallyDynamic)]
        partitions += [(part, part.partition) for part in parts]
    try:
        yield
    except BaseException:  # an interrupt in the middle of the scores, too
        for part, before in partitions:
            part.partition = before
        raise


def _check(ratio: float, criterion: str, scope: str, schedule: str, granularity: str, static: str, rounds: int) -> None:
    if not 0 <= ratio <= 1:  # NaN is not, either
        raise ModelError(f"ratio={ratio} is the fraction that stays dynamic and must lie between 0 and 1")
    check_choice("criterion", criterion, get_args(Criterion))
    check_choice("scope", scope, get_args(Scope))
    check_choice("schedule", schedule, get_args(Schedule))
    check_choice("granularity", granularity, get_args(Granularity))
    check_choice("static", static, get_args(Start))
    if not isinstance(rounds, int) or rounds < 1:
        raise ModelError(f"rounds={rounds!r} must be a whole number, at least 1")
