"""A group of variants, which are made together and timed in turn; how far the times scatter."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median, quantiles

import pytest
from torch import Tensor, nn

from sparsebench.models.counting import flops

from .rounds import WALL, Clock, Turn, in_turn
from .scope import FULL

SECONDS = 0.25 if FULL else 0.15  # of each variant, unless the least rounds take longer
LEAST, MOST = (7, 50) if FULL else (5, 30)  # rounds
TOGETHER = 0.002  # seconds that a turn times at the least
SHORT = 0.005  # seconds; a call that takes less feels what the calls before it left in the caches
SCATTER = 0.1
"""A ratio whose quartiles are further apart than this fraction of its median scatters: the group is timed again."""


class Allowance:
    """Wall seconds of a session that are left for second rounds: on a busy machine, all groups would ask for them."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def spend(self, seconds: float) -> bool:
        """Whether so many are left; then they are gone."""
        if seconds > self.left:
            return False
        self.left -= seconds
        return True


Failed = Exception | pytest.skip.Exception
"""Why a variant is not there: what was wrong with it, or that its library is missing."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One call of a group.

    Roles: "ours", "peer" (what a user would take instead), "reference" (something else to compare with) and "floor"
    (the least work that could do).
    """

    call: Callable[[], object]
    role: str
    facts: Mapping[str, object] = field(default_factory=dict)
    parts: int = 1
    """So many times a call does what is timed: seconds are for one."""
    before: Callable[[], object] | None = None
    """What a call needs done before it, not timed."""


def of_model(call: Callable[[], object], role: str, model: nn.Module, inputs: Tensor, **facts: object) -> Variant:
    """The variant of a model, with its parameters and the operations of a forward pass."""
    known = {
        "dtype": str(inputs.dtype).removeprefix("torch."),
        "rows": inputs.numel() // inputs.shape[-1],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops": flops(getattr(model, "_orig_mod", model), inputs.detach()),  # a compiled one runs no operators
    }
    return Variant(call=call, role=role, facts={**known, **facts})


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Seconds of each round by variant, in the same rounds, and why other variants are not there."""

    seconds: Mapping[str, Sequence[float]]
    roles: Mapping[str, str]
    known: Mapping[str, Mapping[str, object]]
    missing: Mapping[str, Failed] = field(default_factory=dict)
    twice: bool = False
    """Whether the first rounds scattered, so that they were done again."""

    def median(self, name: str) -> float:
        """Seconds."""
        return median(self.seconds[name])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """How many times as fast the second one is, by rounds."""
        return [one / other for one, other in zip(self.seconds[slow], self.seconds[fast], strict=True)]

    def times_as_fast(self, fast: str, slow: str) -> float:
        """How many times as fast the first one is as the second: the ratio of the medians, as on the page."""
        return self.median(slow) / self.median(fast)

    def beside(self, name: str) -> str | None:
        """What a variant of ours is divided by: the fastest peer, or else reference, or floor. None for all others."""
        if self.roles[name] == "ours":
            for role in ("peer", "reference", "floor"):
                found = [other for other in self.seconds if self.roles[other] == role]
                if found:
                    return min(found, key=self.median)
        return None

    def ratio_spread(self, name: str) -> float:
        """Interquartile range over median of the ratio to what it is divided by, or of the seconds without that."""
        other = self.beside(name)
        return spread(self.seconds[name] if other is None else self.ratios(other, name))

    def scatters(self, name: str) -> bool:
        """Whether a ratio of ours is not to be believed."""
        return self.roles[name] == "ours" and self.ratio_spread(name) > SCATTER

    @property
    def worst(self) -> float:
        """The spread of the ratio of ours that scatters most."""
        return max((self.ratio_spread(name) for name in self.seconds if self.roles[name] == "ours"), default=0.0)

    def facts(self, name: str) -> dict[str, object]:
        """What stands in the JSON."""
        found: dict[str, object] = {"role": self.roles[name], "variant": name, **self.known[name]}
        found["spread"] = spread(self.seconds[name])
        found["ratio_spread"] = self.ratio_spread(name)
        found["scatters"] = self.scatters(name)
        found["timed_twice"] = self.twice
        return found


def spread(values: Sequence[float]) -> float:
    """Interquartile range over median; 0 of a single value."""
    if len(values) < 2:
        return 0.0
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def time_group(
    names: Iterable[str],
    make: Callable[[str], Variant],
    clock: Clock,
    rounds: int | None = None,
    allowance: Allowance | None = None,
) -> Timed:
    """Make all variants, time them in turn, and once more if a ratio of ours scatters; the steadier rounds count.

    Args:
        names: the variants.
        make: makes the variant of a name and checks what it computes. What it raises belongs to that variant alone.
        clock: by which they are timed.
        rounds: None: as many as fit into `SECONDS` for each variant, the fewest of all.
        allowance: what second rounds are paid from; None pays for them all.
    """
    variants: dict[str, Variant] = {}
    missing: dict[str, Failed] = {}
    for name in names:
        try:
            variants[name] = make(name)
        except (Exception, pytest.skip.Exception) as reason:
            missing[name] = reason
    planned = {name: _plan(variant) for name, variant in variants.items()}
    turns = {name: turn for name, (turn, _) in planned.items()}
    if rounds is None:
        longest = max((seconds for _, seconds in planned.values()), default=1.0)
        rounds = max(LEAST, min(MOST, int(SECONDS / longest)))
    start = WALL.read()
    first = _timed(variants, turns, rounds, clock, missing, twice=False)
    taken = WALL.read() - start
    if first.worst <= SCATTER or not (allowance is None or allowance.spend(taken)):
        return first
    second = _timed(variants, turns, rounds, clock, missing, twice=True)
    return min(second, replace(first, twice=True), key=lambda timed: timed.worst)


def _plan(variant: Variant) -> tuple[Turn, float]:
    """The turn of a variant, and how long it takes. Its first call gets everything ready."""
    _wall_seconds(variant)
    taken = _wall_seconds(variant)
    if variant.before is not None or variant.parts > 1:
        return Turn(variant.call, before=variant.before), taken
    if taken >= SHORT:
        return Turn(variant.call), taken
    taken = min(taken, _wall_seconds(variant))
    calls = max(1, math.ceil(TOGETHER / taken))
    return Turn(variant.call, calls, again=True), (calls + 1) * taken


def _wall_seconds(variant: Variant) -> float:
    return Turn(variant.call, before=variant.before).seconds(WALL.read)


def _timed(
    variants: Mapping[str, Variant],
    turns: Mapping[str, Turn],
    rounds: int,
    clock: Clock,
    missing: Mapping[str, Failed],
    *,
    twice: bool,
) -> Timed:
    taken = in_turn(turns, rounds, clock.read)
    seconds = {}
    known = {}
    for name, variant in variants.items():
        seconds[name] = [one / variant.parts for one in taken[name]]
        known[name] = {**variant.facts, "calls_in_a_round": turns[name].calls * variant.parts, "clock": clock.name}
    roles = {name: variant.role for name, variant in variants.items()}
    return Timed(seconds=seconds, roles=roles, known=known, missing=missing, twice=twice)
