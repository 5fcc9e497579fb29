"""What the options of a command choose and change of a profile, and the result folder that follows from that."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import UsageError, near

if TYPE_CHECKING:
    from ..planning.profile import Device, Profile

RESULTS = Path("results")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line; what is empty is as the profile has it."""

    profile: str = "quick"
    suites: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """`KEY=VALUE` (`planning/overrides.py`)."""
    seeds: int | None = None
    limit: int | None = None
    dtype: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Selection:
    """The profile as it will run, its result folder, and what there is to say about both."""

    profile: Profile
    folder: Path
    notes: tuple[str, ...]


def only(context: typer.Context, suite: list[str] | None) -> tuple[str, ...]:
    """The suites meant by `sparsebench <suite> ...` or by --suite; empty means all. Raises `UsageError` for both."""
    if context.obj and suite:
        raise UsageError(f"--suite and `sparsebench {context.obj}` say it twice: leave one out")
    return (context.obj,) if context.obj else tuple(suite or ())


def select(request: Request, out: Path | None = None) -> Selection:
    """The profile with all that was asked for. Raises `UsageError`."""
    from ..discovery.installed import installed, lacking_weights
    from ..identity.device import device_kind
    from ..planning.narrowing import Named, narrow_profile
    from ..planning.profile import load_profile

    loaded = load_profile(request.profile, request.suites)
    here, absent = installed(plan.suite for plan in loaded.plans)
    loaded = replace(loaded, plans=tuple(plan for plan in loaded.plans if plan.suite in here))
    absent += [line for name in here if (line := lacking_weights(name))]
    device = kind_of_device(request.device)
    named = Named(request.methods, request.tasks, request.backbones)
    narrowed, left_out = narrow_profile(loaded, named, request.seeds)
    narrowed = replace(narrowed, device="auto" if device == device_kind() else device)
    changed, notes = _changed(narrowed, request)
    notes = absent + left_out + notes
    if changed == loaded:
        return Selection(changed, out or RESULTS / loaded.name, tuple(notes))
    folder = out or RESULTS / adhoc_name(loaded, request)
    if out is None:
        notes.append(f"not the whole profile {loaded.name}, so the results go to {folder}, a folder of its own")
    return Selection(changed, folder, tuple(notes))


def adhoc_name(loaded: Profile, request: Request) -> str:
    """The folder of a run that takes a part of a profile or changes it; the same for the same options in any order."""
    asked = asdict(request)
    for name, value in asked.items():
        if isinstance(value, tuple):
            asked[name] = sorted(value)
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
    return "-".join(["adhoc", loaded.name, *sorted(request.suites), digest])


def kind_of_device(name: str) -> Device:
    """auto, cpu, or cuda for `cuda` and `cuda:N`. Raises `UsageError` for another name."""
    kind = "cuda" if re.fullmatch(r"cuda:\d+", name) else name
    if kind == "auto":
        return "auto"
    if kind == "cpu":
        return "cpu"
    if kind == "cuda":
        return "cuda"
    raise UsageError(f"--device {name}: must be auto, cpu, cuda or cuda:N{near(name, DEVICES)}")


def check_device(name: str) -> None:
    """Raise `UsageError` where this machine has no such device."""
    from ..identity.device import device_count, device_kind

    if kind_of_device(name) != "cuda":
        return
    if device_kind() != "cuda":
        raise UsageError(f"--device {name}: PyTorch finds no CUDA device here; `--device cpu` runs on the processor")
    number = int(name.partition(":")[2] or 0)
    if number >= device_count():
        raise UsageError(f"--device {name}: this machine has {device_count()}, the first of which is cuda:0")


def _changed(profile: Profile, request: Request) -> tuple[Profile, list[str]]:
    """The profile with other values; its claims, which are about its own ones, are not judged then."""
    from ..planning.overrides import limited, override, read_setting

    settings = [read_setting(text) for text in request.settings]
    if request.dtype is not None:
        settings.append(read_setting(f"dtype={request.dtype}"))
    changed, notes = override(profile, settings)
    limit = request.limit
    if limit is not None:
        changed = replace(changed, plans=tuple(limited(plan, limit) for plan in changed.plans))
    if changed != profile and any(plan.claims for plan in profile.plans):
        changed = replace(changed, plans=tuple(replace(plan, claims=()) for plan in changed.plans))
        notes.append("the claims of the profile are not judged: they are about its own rows and budgets")
    return changed, notes
