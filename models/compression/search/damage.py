"""What an option does to the model: its error at the block, and from that how far the model moves.

Assumed: the damages of all mixtures add up, each measured with the others as they are. That is how SPDY (Frantar and
Alistarh, arXiv 2201.13096) and HIGGS (Malinovskii et al., arXiv 2411.17525) choose by layer; it is not true where
layers make up for each other, which is why EvoPress (Sieberling et al., arXiv 2410.14649) measures whole models.

Every option is tried at its block, on what reaches the block in the model as it is: its error is the squared difference
of the block's outputs as a share of the squared outputs. An error of 1 % harms more in one layer than in another, so a
few options of each mixture, its anchors, are placed in the model, which is run to its end: their damage is measured. In
between, damages follow the errors (the damage is taken to be a power of the error from one anchor to the next, and
proportional to it beyond the last on either side).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import describe
from ...calibration.block_calls import hidden_of
from ...calibration.by_block import BlockPass, by_block
from ...calibration.calls import batch_mask, call_model
from ...errors import ModelError
from ..quantisation.transform import QuantiseConfig
from .options import Option
from .trials import Ranked, Rounded, changed_block, placed, rounded_weights

# Shapes: T real tokens, D width, V outputs.

Distance = Literal["kl", "states"]
"""How far a changed model is from the model as it is: the Kullback-Leibler divergence of its softmax outputs, mean over
the real tokens, in nats; or the squared difference of what leaves its last block as a share of the squares."""
TINY = 1e-12
"""Errors and damages below this are as good as none."""


def measure(
    model: nn.Module,
    batches: Sequence[object],
    ranked: Sequence[Ranked],
    options: Sequence[Sequence[Option]],
    configs: Mapping[int, QuantiseConfig],
    *,
    distance: Distance,
    anchors: int,
) -> list[list[float]]:
    """The damage of each option of each mixture; 0 for the first one of each, which changes nothing.

    `configs`: how weights are rounded, by number of bits. `anchors`: options of each mixture that the whole model is
    run with, besides the one without it, which always is.
    """
    places = {one.mixture.block.index: number for number, one in enumerate(ranked)}
    found: list[list[float]] = []
    passes: Any = by_block(model, batches, places)
    with closing(passes):
        for step in passes:
            number = places[step.block.index]
            found.append(_of_mixture(model, batches, step, ranked[number], options[number], configs, distance, anchors))
    return found


def _of_mixture(
    model: nn.Module,
    batches: Sequence[object],
    step: BlockPass,
    ranked: Ranked,
    options: Sequence[Option],
    configs: Mapping[int, QuantiseConfig],
    distance: Distance,
    anchors: int,
) -> list[float]:
    used = {option.bits for option in options if option.bits is not None}
    rounded = {bits: rounded_weights(step, model, configs[bits]) for bits in sorted(used)}

    def made(option: Option) -> nn.Module:
        return changed_block(model, ranked, option, _rounded(rounded, option))

    reference = _outputs(step)
    errors = [0.0]
    for option in options[1:]:
        with placed(step.block.site, made(option)):
            errors.append(_error(reference, _outputs(step)))
    chosen = anchor_places(errors, anchors, [place for place, option in enumerate(options) if option.dropped])
    changed = {place: made(options[place]) for place in chosen}
    measured = _divergences(model, batches, step, changed, distance)
    return interpolated(errors, measured)


def _rounded(rounded: Mapping[int, Rounded], option: Option) -> Rounded | None:
    return None if option.bits is None else rounded[option.bits]


def _outputs(step: BlockPass) -> list[Tensor]:
    """What the block gives for the real tokens of each batch, (T, D) in float32 or better."""
    found: list[Tensor] = []

    def take(module: nn.Module, args: object, output: object) -> None:
        hidden = hidden_of(output)
        found.append(hidden[step.mask].to(torch.promote_types(hidden.dtype, torch.float32)))

    hook = step.block.site.get().register_forward_hook(take)
    try:
        step.run()
    finally:
        hook.remove()
    return found


def _error(reference: Iterable[Tensor], changed: Iterable[Tensor]) -> float:
    difference = 0.0
    whole = 0.0
    for before, after in zip(reference, changed, strict=True):
        difference += float((after - before).square().sum(dtype=torch.float64))
        whole += float(before.square().sum(dtype=torch.float64))
    if whole <= 0:
        raise ModelError("a block gives nothing but zeros on the calibration data: no error can be measured there")
    return difference / whole


def anchor_places(errors: Sequence[float], anchors: int, always: Sequence[int]) -> list[int]:
    """Places of options to be measured: `always`, and of the others as many, by evenly spaced ranks of their errors.

    Example: `anchor_places([0, 0.1, 0.4, 0.2], 2, [])` is `[1, 2]`, the least and the largest error.
    """
    ranked = [place for place in range(1, len(errors)) if place not in always]
    ranked.sort(key=lambda place: (errors[place], place))
    count = min(anchors, len(ranked))
    if count == 1:
        return sorted([*always, ranked[len(ranked) // 2]])
    chosen = [ranked[round(number * (len(ranked) - 1) / (count - 1))] for number in range(count)]
    return sorted({*always, *chosen})


def interpolated(errors: Sequence[float], measured: Mapping[int, float]) -> list[float]:
    """The damage of each option: measured, or between the anchors next to its error. The first one's is 0.

    What a larger error seems to spare is noise: between anchors damages never fall as errors grow.
    """
    anchors: list[tuple[float, float]] = []
    for place in sorted(measured, key=lambda place: errors[place]):
        least = anchors[-1][1] if anchors else TINY
        anchors.append((max(errors[place], TINY), max(measured[place], least)))
    found = [0.0]
    for place in range(1, len(errors)):
        if place in measured:
            found.append(max(0.0, measured[place]))
        else:
            found.append(_between(anchors, errors[place]))
    return found


def _between(anchors: Sequence[tuple[float, float]], error: float) -> float:
    if error <= TINY:
        return 0.0
    if error <= anchors[0][0]:
        return anchors[0][1] * error / anchors[0][0]
    for (low, low_damage), (high, high_damage) in pairwise(anchors):
        if error <= high:
            if high <= low:
                return high_damage
            fraction = math.log(error / low) / math.log(high / low)
            return low_damage * (high_damage / low_damage) ** fraction
    return anchors[-1][1] * error / anchors[-1][0]


@torch.no_grad()
def _divergences(
    model: nn.Module, batches: Sequence[object], step: BlockPass, changed: Mapping[int, nn.Module], distance: Distance
) -> dict[int, float]:
    """How far the model is from itself with each of the changed blocks in its place."""
    if not changed:
        return {}
    sums = dict.fromkeys(changed, 0.0)
    whole = 0.0
    read = _reader(distance)
    between = _squares if distance == "states" else _kl
    for batch in batches:
        reference = read(model, batch)
        whole += _size(reference, distance)
        for place, module in changed.items():
            with placed(step.block.site, module):
                sums[place] += between(reference, read(model, batch))
    if whole <= 0:
        raise ModelError("the last block gives nothing but zeros on the calibration data: take distance='kl'")
    return {place: value / whole for place, value in sums.items()}


@torch.no_grad()
def divergence(model: nn.Module, changed: nn.Module, batches: Sequence[object], distance: Distance) -> float:
    """How far another model is from this one, both in eval mode, in the unit of the distance.

    Args:
        model: the model as it is.
        changed: the other one.
        batches: what both are called with.
        distance: the measure.

    Returns:
        A mean over the real tokens.

    Raises:
        ModelError: the last block gives nothing but zeros, so that states have no distance.
    """
    read = _reader(distance)
    between = _squares if distance == "states" else _kl
    total = 0.0
    whole = 0.0
    for batch in batches:
        reference = read(model, batch)
        whole += _size(reference, distance)
        total += between(reference, read(changed, batch))
    if whole <= 0:
        raise ModelError("the last block gives nothing but zeros on the calibration data: take distance='kl'")
    return total / whole


def _size(reference: Tensor, distance: Distance) -> float:
    """What sums are divided by: the number of tokens, or the squares."""
    if distance == "kl":
        return float(len(reference))
    return float(reference.square().sum(dtype=torch.float64))


def _reader(distance: Distance) -> Callable[[nn.Module, Any], Tensor]:
    return _logits if distance == "kl" else _last_states


def _logits(model: nn.Module, batch: object) -> Tensor:
    """Logarithms of the softmax outputs at the real tokens, (T, V)."""
    output = call_model(model, batch)
    if not isinstance(output, Tensor):
        output = getattr(output, "logits", None)
    if not isinstance(output, Tensor):
        raise ModelError(f"{type(model).__name__} gives no logits: take distance='states'")
    return F.log_softmax(_real(output, batch_mask(batch)), dim=-1)


def _last_states(model: nn.Module, batch: object) -> Tensor:
    """What leaves the last block at the real tokens, (T, D)."""
    found: list[Tensor] = []

    def take(module: nn.Module, args: object, output: object) -> None:
        found.append(hidden_of(output))

    hook = describe(model).blocks[-1].site.get().register_forward_hook(take)
    try:
        call_model(model, batch)
    finally:
        hook.remove()
    return _real(found[-1], batch_mask(batch))


def _real(values: Tensor, mask: object) -> Tensor:
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    if isinstance(mask, Tensor) and mask.shape == values.shape[:-1]:
        return values[mask != 0]
    return values.flatten(0, -2)


def _kl(reference_TV: Tensor, changed_TV: Tensor) -> float:
    return float(F.kl_div(changed_TV, reference_TV, reduction="sum", log_target=True))


def _squares(reference_TD: Tensor, changed_TD: Tensor) -> float:
    return float((changed_TD - reference_TD).square().sum(dtype=torch.float64))
