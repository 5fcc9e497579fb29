"""Steps from options: those of the command line, which are the keywords of the functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from sparsebench.data.manifest import near
from sparsebench.models.errors import ModelError

from .recipe import KINDS, Named, read_recipe, step
from .steps.weights import Search


class ChangeOptions(TypedDict, total=False):
    """What `convert` and `compress` may be told, in place of a recipe; what is None counts as not given."""

    preset: str | None
    experts: int | None
    top_k: int | None
    shared: int | None
    split: str | None
    faithful: bool | None
    keep_experts: float | None
    how: str | None
    score: str | None
    drop_layers: int | None
    drop_attentions: int | None
    drop_blocks: int | None
    sparsity: float | None
    pruning: str | None
    pattern: str | None
    budget: str | None
    heal: str | None
    bits: int | None
    method: str | None
    group_size: int | str | None
    zero_points: bool | None
    parts: Sequence[str] | None
    target: Sequence[str] | None
    ignore: Sequence[str] | None


_PLACES: dict[str, tuple[tuple[str, str], ...]] = {
    "preset": (("convert", "preset"),),
    "experts": (("convert", "num_experts"),),
    "top_k": (("convert", "top_k"),),
    "shared": (("convert", "num_shared"),),
    "split": (("convert", "split"),),
    "faithful": (("convert", "faithful"),),
    "keep_experts": (("experts", "keep"),),
    "how": (("experts", "how"),),
    "score": (("experts", "score"), ("search", "score")),
    "sparsity": (("prune", "sparsity"),),
    "pruning": (("prune", "method"),),
    "pattern": (("prune", "pattern"),),
    "bits": (("quantise", "bits"),),
    "method": (("quantise", "method"), ("search", "method")),
    "group_size": (("quantise", "group_size"), ("search", "group_size")),
    "zero_points": (("quantise", "zero_points"),),
    "parts": (("prune", "parts"), ("quantise", "parts")),
    "target": tuple((kind, "targets") for kind in KINDS if kind not in ("search", "heal")),
    "ignore": tuple((kind, "ignore") for kind in KINDS if kind not in ("search", "heal")),
}
"""Where an option goes: to each of these steps that there is."""
_CALLS = {
    "convert": ("preset", "experts"),
    "experts": ("keep_experts",),
    "prune": ("sparsity", "pattern"),
    "quantise": ("bits",),
}
"""Any of these options makes the step."""
_ON_UNROUNDED = {
    "heal": "quantised weights do not train: heal before the weights are rounded",
    "quantise": "weights are rounded once, and a step before has rounded them",
}
"""Steps that take no rounded weights, and why."""
_OTHERWISE = {"search": ", or let the search change something else than bits, such as `bytes=0.5,change=experts`"}
"""By the step that may round, what else there is to do."""
_DROPS = {"drop_layers": "layers", "drop_attentions": "attentions", "drop_blocks": "blocks"}


def steps_of(recipe: str | Path | Sequence[Named] | None, options: Mapping[str, Any]) -> list[Named]:
    """The steps of a recipe, or of options, in the order of `KINDS`.

    Raises `ModelError` for none, for both, for an option that no step takes, and for an order that cannot be.
    """
    steps = _steps(recipe, options)
    rounding: str | None = None
    for one in steps:
        if rounding is not None and one.name in _ON_UNROUNDED:
            raise ModelError(_ON_UNROUNDED[one.name] + _OTHERWISE.get(rounding, ""))
        if one.name == "quantise" or (isinstance(one.step, Search) and "bits" in one.step.change):
            rounding = one.name
    return steps


def _steps(recipe: str | Path | Sequence[Named] | None, options: Mapping[str, Any]) -> list[Named]:
    given = {
        name: value for name, value in options.items() if not (value is None or value is False or value in ([], ()))
    }
    for name in given:
        if name not in get_type_hints(ChangeOptions):
            raise ModelError(f"unknown option {name!r}{near(name, get_type_hints(ChangeOptions))}")
    if recipe is None:
        return _from_options(given)
    if given:
        raise ModelError(f"a recipe says all that is done: leave {', '.join(given)} out, or write it there")
    if isinstance(recipe, str | Path):
        return read_recipe(recipe)
    if not recipe:
        raise ModelError("the recipe has no steps")
    return list(recipe)


def _from_options(given: Mapping[str, Any]) -> list[Named]:
    values: dict[str, list[dict[str, Any]]] = {}
    for kind, calls in _CALLS.items():
        if any(name in given for name in calls):
            values[kind] = [{}]
    drops = [{"what": part, "number": given[name]} for name, part in _DROPS.items() if name in given]
    if drops:
        values["drop"] = drops
    for name, kind in (("budget", "search"), ("heal", "heal")):
        if name in given:
            values[kind] = [_pairs(name, given[name])]
    for name, places in _PLACES.items():
        if name in given:
            _put(name, given[name], places, values)
    if not values:
        raise ModelError("nothing to do: name a recipe, or options such as --bits 4 (see --help)")
    return [step(kind, one) for kind in KINDS for one in values.get(kind, ())]


def _put(name: str, value: Any, places: Sequence[tuple[str, str]], values: Mapping[str, list[dict[str, Any]]]) -> None:
    """An option into each step that takes it."""
    there = [(kind, key) for kind, key in places if kind in values]
    if not there:
        makers = [option for kind, _ in places for option in _makers(kind)]
        raise ModelError(f"{name} goes with {' or '.join(dict.fromkeys(makers))}, which is not given")
    for kind, key in there:
        for one in values[kind]:
            one[key] = list(value) if isinstance(value, list | tuple) else value


def _makers(kind: str) -> tuple[str, ...]:
    """The options that make a step."""
    return _CALLS.get(kind) or {"drop": tuple(_DROPS), "search": ("budget",), "heal": ("heal",)}[kind]


def _pairs(name: str, text: str) -> dict[str, Any]:
    """Values of `key=value,key=value`."""
    found: dict[str, Any] = {}
    for pair in str(text).split(","):
        key, sign, value = pair.partition("=")
        if not sign or not key or not value:
            raise ModelError(f"{name}={text!r} is to be key=value, such as {_EXAMPLES[name]}")
        found[key.strip()] = value.strip()
    return found


_EXAMPLES = {"budget": "bytes=0.5", "heal": "tokens=200k"}
