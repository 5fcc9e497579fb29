"""What a profile says of all its claims, and of seeds that are added by need.

    seeds: {pilot: 3, budget: 12, looks: [6, 9]}
    study:
      place: at 1 million parameters after 200,000 tokens
      smallest_effects:
        bits_per_byte: {value: 0.02, reason: "twice the spread of the seeds of one row"}
      checks:
        - {kind: routers, at_most: 0.99, reason: "routers that do not choose say nothing of experts", claims: [E3, E6]}

A smallest effect is of all claims in that metric that state none of their own. With `unit: training` each row runs on
several trainings of one backbone (`backbones: ["net:0", "net:1", "net:2"]`), and intervals are over these; the seeds on
each are draws, of calibration data or of chance, whose mean counts once. Each claim is on one task then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sparsebench.reports.tables.claims import MIN_SEEDS, Check, Claim

from ..errors import UsageError
from . import values

UNITS = ("seed", "training")


@dataclass(frozen=True)
class Smallest:
    """The smallest effect of interest in a metric, in its unit, and why so much."""

    value: float
    reason: str


@dataclass(frozen=True)
class Study:
    """What all claims of a suite's part of a profile share."""

    place: str = ""
    """Where verdicts are meant to hold."""
    smallest_effects: Mapping[str, Smallest] = field(default_factory=dict)
    """By metric."""
    checks: tuple[tuple[Check, tuple[str, ...]], ...] = ()
    """What must be so of an instrument, each with the claims that it is asked for."""
    unit: str = UNITS[0]
    """What intervals are over: "seed" or "training"."""


def read_study(section: object, where: str) -> Study:
    """The entry `study` of a suite. Raises `UsageError`."""
    from ..discovery.validation import build

    given = values.mapping(section, where)
    for key in given:
        if key not in ("place", "smallest_effects", "checks", "unit"):
            raise UsageError(f"{where}: unknown key {key!r}; it has place, smallest_effects, checks and unit")
    unit = values.text(given.get("unit", UNITS[0]), f"{where}, unit")
    if unit not in UNITS:
        raise UsageError(f"{where}: the unit is {' or '.join(UNITS)}, not {unit!r}")
    effects = {}
    for metric, value in values.mapping(given.get("smallest_effects", {}), f"{where}, smallest_effects").items():
        inside = f"{where}, smallest_effects, {metric}"
        effects[metric] = build(Smallest, _whole(values.mapping(value, inside), ("value", "reason"), inside), inside)
    checks = []
    for item in values.sequence(given.get("checks", []), f"{where}, checks"):
        inside = f"{where}, checks"
        entry = _whole(values.mapping(item, inside), ("kind", "reason", "claims"), inside)
        claims = values.texts(entry.pop("claims"), f"{inside}, claims")
        checks.append((build(Check, entry, inside), claims))
    return Study(values.text(given.get("place", ""), f"{where}, place"), effects, tuple(checks), unit)


def _whole(given: Mapping[str, Any], needed: Sequence[str], where: str) -> dict[str, Any]:
    missing = [key for key in needed if key not in given]
    if missing:
        raise UsageError(f"{where}: no {' and no '.join(map(repr, missing))}")
    return dict(given)


def with_study(claim: Claim, study: Study, looks: tuple[int, ...], where: str) -> Claim:
    """The claim with what the study says of all.

    Args:
        claim: as the profile has it.
        study: what it shares.
        looks: how many seeds there are at each look; empty where their number is fixed.
        where: begins the message of an error.

    Raises:
        UsageError: no smallest effect of interest, or one without a reason.
    """
    shared = study.smallest_effects.get(claim.metric)
    if claim.smallest is None and shared is not None:
        claim = replace(claim, smallest_effect=shared.value, smallest_reason=shared.reason)
    if claim.smallest is None:
        raise UsageError(
            f"{where} states no smallest effect of interest: give it `smallest_effect` and `smallest_reason`, or "
            f"the study `smallest_effects: {{{claim.metric}: {{value: ..., reason: ...}}}}`"
        )
    if claim.smallest <= 0:
        raise UsageError(f"{where}: the smallest effect of interest, or a margin in its place, must be above 0")
    if claim.smallest_effect is not None and not claim.smallest_reason:
        raise UsageError(f"{where}: `smallest_reason` must say why an effect below {claim.smallest_effect:g} is none")
    checks = tuple(check for check, claims in study.checks if claim.id in claims)
    return replace(claim, place=claim.place or study.place, checks=claim.checks + checks, looks=looks)


def read_looks(value: object, where: str) -> tuple[int, ...]:
    """How many seeds there are at each look; one number is one look, which adds none by need. Raises `UsageError`."""
    if not isinstance(value, dict):
        values.seeds(value, where)
        return ()
    given = _whole(value, ("pilot", "budget"), where)
    for key in given:
        if key not in ("pilot", "budget", "looks"):
            raise UsageError(f"{where}: unknown key {key!r}; it has pilot, budget and looks")
    listed = values.sequence(given.get("looks", []), f"{where}: looks")
    between = [values.seeds(item, f"{where}: looks") for item in listed]
    pilot, budget = (values.seeds(given[key], f"{where}: {key}") for key in ("pilot", "budget"))
    if pilot < MIN_SEEDS or budget <= pilot or not all(pilot <= look <= budget for look in between):
        raise UsageError(
            f"{where}: it takes a pilot of {MIN_SEEDS} seeds or more, a larger budget, and looks between the two"
        )
    return tuple(sorted({pilot, *between, budget}))
