"""Which of several exact forms of a computation is fastest here: measured once for a class of shapes, and kept.

Forms differ in rounding alone, and which is fastest differs by processor, threads and version of torch: a rule that was
found on one machine is off by a factor of two on the next. So the first call of a class of shapes runs all forms in
turn, and a file of the cache keeps the fastest for this machine.

Numbers that have to be the same to the bit in every run want a rule, which no clock decides: `SPARSEBENCH_FORMS=rules`,
or `by_rules`. The runner scores its cells so; `sparsebench doctor` says what was measured.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from filelock import FileLock

from .build import kernel_folder
from .processor import facts
from .watching import are_operators_watched

SWITCH = "SPARSEBENCH_FORMS"
"""Environment variable: "measured", the default, or "rules"."""
ROUNDS = 7
SECONDS = 0.5
"""Rounds end when so much time has gone; each form runs twice at least, of which the first is not timed."""
GAIN = 0.97
"""Another form than that of the rule has to take less than this part of its time: what is level stays."""
NAMES = ("vendor_id", "cpu family", "model", "model name", "CPU implementer", "CPU part")

Class = tuple[str | int, ...]
"""What is computed, then what its time depends on: type, sizes, rows by `octave`."""
Found = dict[str, Any]
_rules: ContextVar[bool | None] = ContextVar("forms by rules", default=None)
_chosen: dict[Class, str] = {}
"""By class and threads, of this process: what was read from the file, or measured here."""


def fastest(what: Class, forms: Mapping[str, Callable[[], object]], rule: str) -> str:
    """The name of the form to take.

    Args:
        what: the class of shapes; the names of the forms and the number of threads are added to it.
        forms: each computes the same; they are called where the class was not measured here yet.
        rule: the form that a fixed rule takes, where nothing is to be measured.

    Returns:
        One of the names; that of the rule also where others are as fast, and while somebody watches the operators of a
        class that is new.

    Example: `fastest(("sum", "float32", octave(len(x))), {"one": lambda: x.sum(), "two": lambda: x @ ones}, "one")`.
    """
    if is_by_rules():
        return rule
    key = (*what, *forms, torch.get_num_threads())
    if not _chosen:
        _chosen.update(_read())
    found = _chosen.get(key, "")
    if found in forms:
        return found
    if are_operators_watched():
        return rule
    seconds = _measured(forms)
    best = min(seconds, key=seconds.__getitem__)
    if seconds[best] > GAIN * seconds[rule]:
        best = rule
    _chosen[key] = best
    _keep(key, best, seconds)
    return best


def octave(count: float) -> int:
    """Quarters of an octave: counts within 9 % of each other are one class."""
    return round(4 * math.log2(count))


def is_by_rules() -> bool:
    """Whether rules decide. Raises ValueError where the environment variable has a value that it cannot have."""
    chosen = _rules.get()
    return _by_environment() if chosen is None else chosen


@contextmanager
def by_rules(rules: bool = True) -> Iterator[None]:
    """Within it rules decide, or with False the clock, whatever the environment says."""
    token = _rules.set(rules)
    try:
        yield
    finally:
        _rules.reset(token)


def _by_environment() -> bool:
    """Asked each time: workers set the variable after this was imported."""
    value = os.environ.get(SWITCH, "measured")
    if value not in ("measured", "rules"):
        raise ValueError(f"{SWITCH}={value}: it is measured or rules")
    return value == "rules"


def known() -> Mapping[str, Found]:
    """What was measured on this machine: by class, its `form` and the milliseconds of each (`ms`)."""
    return _stored().get(machine(), {})


def status() -> str:
    """One line for people: what chooses, and how many classes were measured on this machine, where they are kept."""
    if is_by_rules():
        return f"forms of computations: by fixed rules ({SWITCH}=rules)"
    return f"forms of computations: the fastest by measurement, {len(known())} classes so far in {_file()}"


def machine() -> str:
    """What forms are kept by: the processor as it names itself, and the version of torch."""
    try:
        known = facts()
    except OSError:
        known = {}
    names = [known[name] for name in NAMES if name in known] or [platform.processor() or platform.machine()]
    return f"{' '.join(names)}, torch {torch.__version__}"


def _measured(forms: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the fastest of some runs of each form, run in turn, so that other work disturbs all alike."""
    start = perf_counter()
    for form in forms.values():  # makes what is made at the first call
        form()
    best = {name: _seconds(form) for name, form in forms.items()}
    for _ in range(ROUNDS - 1):
        if perf_counter() - start > SECONDS:
            break
        best = {name: min(best[name], _seconds(form)) for name, form in forms.items()}
    return best


def _seconds(form: Callable[[], object]) -> float:
    start = perf_counter()
    form()
    return perf_counter() - start


def _file() -> Path:
    return kernel_folder() / "forms.json"


def _stored() -> dict[str, dict[str, Found]]:
    """The whole file; empty where there is none, or none of ours: all of it can be measured again."""
    try:
        stored = json.loads(_file().read_text(encoding="utf-8"))
        return {
            place: {name: {"form": found["form"], "ms": found["ms"]} for name, found in classes.items()}
            for place, classes in stored.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}


def _read() -> dict[Class, str]:
    return {_class(name): found["form"] for name, found in known().items()}


def _keep(key: Class, form: str, seconds: Mapping[str, float]) -> None:
    """Into the file, beside what others wrote meanwhile; where it cannot be written, this process alone knows."""
    found = {"form": form, "ms": {name: round(1e3 * value, 4) for name, value in seconds.items()}}
    file = _file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            stored = _stored()
            stored.setdefault(machine(), {})[json.dumps(key)] = found
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(stored, indent=1, sort_keys=True), encoding="utf-8")
            partial.replace(file)
    except OSError:
        return


def _class(name: str) -> Class:
    return tuple(json.loads(name))
