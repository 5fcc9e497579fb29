"""What the options of a command choose of a profile."""

from dataclasses import replace
from pathlib import Path

import typer

from ..errors import UsageError
from ..planning.profile import Profile


def only(context: typer.Context, suite: list[str] | None) -> list[str]:
    """The suites meant by `sparsebench <suite> ...` or by --suite; empty means all. Raises `UsageError` for both."""
    if context.obj and suite:
        raise UsageError(f"--suite and `sparsebench {context.obj}` say it twice: leave one out")
    return [context.obj] if context.obj else suite or []


def selected(
    profile: str,
    suite: list[str],
    method: list[str] | None = None,
    task: list[str] | None = None,
    backbone: list[str] | None = None,
    seeds: int | None = None,
) -> Profile:
    """The profile with the suites, rows, tasks, backbones and seeds that were asked for. Raises `UsageError`."""
    from ..planning.profile import load_profile, narrow

    loaded = load_profile(profile, suite)
    if (method or task or backbone) and len(loaded.plans) != 1:
        raise UsageError("--method, --task and --backbone need one suite: say `sparsebench vtab run ...` or --suite")
    plans = tuple(narrow(plan, method or (), task or (), backbone or (), seeds) for plan in loaded.plans)
    return replace(loaded, plans=plans)


def default_out(profile: str) -> Path:
    """The result folder of a profile."""
    return Path("results") / Path(profile).stem
