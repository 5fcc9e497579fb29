"""Recipes: what is done to a model, step by step, in a YAML file or as values from the command line.

steps:
  - convert: {preset: llama_moe_v2_8top2}
  - experts: {keep: 0.75, score: reap}
  - heal: {tokens: 200k}
  - quantise: {bits: 4, method: gptq, ignore: ["layers\\.0\\."]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from sparsebench.data.errors import near_path, reason_of
from sparsebench.data.manifest import near
from sparsebench.models.errors import ModelError

from ._values import checked
from ._work import Step
from .steps.conversion import Convert
from .steps.healing import Heal
from .steps.trimming import Drop, Experts
from .steps.weights import Prune, Quantise, Search

KINDS: dict[str, type] = {
    "convert": Convert,
    "experts": Experts,
    "drop": Drop,
    "prune": Prune,
    "search": Search,
    "heal": Heal,
    "quantise": Quantise,
}
"""Steps by name, in the order in which options of the command line are carried out."""


@dataclass(frozen=True)
class Named:
    """A step with its name and what was asked for."""

    name: str
    values: Mapping[str, Any]
    step: Step

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.values.items())])


def step(name: str, values: Mapping[str, Any] | None = None) -> Named:
    """The step of a name.

    Args:
        name: one of `KINDS`.
        values: its settings by key.

    Returns:
        The step.

    Raises:
        ModelError: an unknown name or key, with near ones, and a value that cannot be.

    Example: `step("quantise", {"bits": 4, "method": "gptq"})`.
    """
    if name not in KINDS:
        raise ModelError(f"unknown step {name!r}{near(name, KINDS)}")
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise ModelError(f"{name}: write its settings as {name}: {{key: value}}, not {values!r}")
    if name == "convert":
        return Named(name, dict(values), Convert.of(values))
    kind: Callable[..., Any] = KINDS[name]
    given = checked(name, values, get_type_hints(kind))
    missing = [field.name for field in fields(KINDS[name]) if field.name not in given and _needed(field)]
    if missing:
        raise ModelError(f"{name}: {missing[0]} is missing")
    try:
        return Named(name, dict(values), kind(**given))
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error


def read_recipe(file: str | Path) -> list[Named]:
    """The steps of a YAML file.

    Args:
        file: its path.

    Returns:
        The steps, in order.

    Raises:
        ModelError: the file is not there, no YAML, or says what cannot be.
    """
    file = Path(file)
    if not file.is_file():
        raise ModelError(f"there is no recipe {file}{near_path(file)}")
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} is no YAML: {reason_of(error)}") from error
    if not isinstance(document, Mapping) or not document:
        raise ModelError(f"{file} has no steps: it is to hold `steps:` and a list of them")
    for key in document:
        if key != "steps":
            raise ModelError(f"{file}: unknown key {key!r}{near(str(key), ['steps'])}")
    entries = document["steps"]
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise ModelError(f"{file}: steps is to be a list, each entry `- name: {{key: value}}`")
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            found.append(_entry(entry))
        except ModelError as error:
            raise ModelError(f"{file}, step {number}: {error}") from error
    return found


def _entry(entry: Any) -> Named:
    if isinstance(entry, str):
        return step(entry)
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ModelError(f"write one step as `- name: {{key: value}}`, not {entry!r}")
    ((name, values),) = entry.items()
    return step(str(name), values)


def _needed(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
