"""Texts of `list`, `show` and `plan`. `list` reads files only: no torch, no method, no task is imported."""

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from .discovery.registry import Entry, entries, find, plugin_problems, suites
from .errors import UsageError, near
from .planning.profile import Profile, built_in
from .planning.rows import JOIN, chain_of


def listing(names: Sequence[str]) -> str:
    """Methods, and the tasks, backbones and profiles of the named suites."""
    known = suites()
    for name in names:
        if name not in known:
            raise UsageError(f"unknown suite {name!r}{near(name, known)}")
    parts = [_section("methods", entries("method").values())]
    for name in names:
        parts.append(f"\n{name}: {known[name].title}. {known[name].description}")
        parts.append(_section("  tasks", entries("task", name).values()))
        parts.append(_section("  backbones", entries("backbone", name).values()))
        parts.append(f"  profiles: {', '.join(profile for profile, owners in built_in().items() if name in owners)}")
    parts += plugin_problems()
    return "\n".join(parts)


def _section(title: str, found: Iterable[Entry]) -> str:
    found = sorted(found, key=lambda entry: entry.name)
    width = max((len(entry.name) for entry in found), default=0)
    return "\n".join([f"{title}:", *(f"    {entry.name:<{width}}  {entry.caption}" for entry in found)])


def describe(name: str) -> str:
    """Everything known by that name, without running it; of a chain of methods (`first+second`), of each."""
    from sparsebench.data.sources import catalogue

    if JOIN in name:
        return "\n\n".join(_describe_entry(find("method", link.method)) for link in chain_of(name))
    found = [entry for entry in _everything() if entry.name == name]
    parts = [_describe_entry(entry) for entry in found]
    if name in suites():
        parts.append(listing([name]))
    if name in catalogue():
        parts.append(_describe_source(name))
    if not parts:
        names = {entry.name for entry in _everything()} | set(suites()) | set(catalogue())
        raise UsageError(f"nothing is called {name!r}{near(name, names)}")
    return "\n\n".join(parts)


def _everything() -> list[Entry]:
    found = list(entries("method").values())
    for name in suites():
        found += [*entries("task", name).values(), *entries("backbone", name).values()]
    return found


def _describe_entry(entry: Entry) -> str:
    tree = ast.parse(entry.path.read_text(encoding="utf-8"))
    where = f" of suite {entry.suite}" if entry.suite else ""
    lines = [f"{entry.name} ({entry.kind}{where}, module {entry.module})"]
    if entry.row is not None:
        lines += [f"{entry.caption}.", ""]
    lines.append(ast.get_docstring(tree) or "")
    if entry.kind == "method":
        lines += ["", "config:", *_config_lines(entry)]
    if entry.sources:
        lines += ["", f"data: {', '.join(entry.sources)}"]
    return "\n".join(lines)


def _config_lines(entry: Entry) -> list[str]:
    import dataclasses

    from ..contracts.method import Method
    from .discovery.registry import load_class

    fields = dataclasses.fields(load_class(entry, Method))
    return [f"    {field.name} = {field.default!r}" for field in fields] or ["    (none)"]


def _describe_source(name: str) -> str:
    from sparsebench.data.sources import source

    found = source(name)
    lines = [f"{name} (data source, {found.kind}, version {found.version})", found.citation, found.note]
    lines += [f"licence: {found.licence}", f"fingerprint: {found.fingerprint}"]
    return "\n".join(line for line in lines if line)


def plan_text(profile: Profile, folder: Path) -> str:
    """The matrix of a profile, with the state of each cell in the result folder."""
    from sparsebench.reports.index import Index
    from sparsebench.reports.store import MARKER, Store

    from .execution.environment import default_workers
    from .planning.durations import Durations, clock
    from .planning.plan import compare, count_states, expand, to_run

    entries = []
    if (folder / MARKER).exists():
        with Index(Store(folder).open()) as index:
            entries = index.entries
    planned = compare(expand(profile), entries)
    lines = [f"{entry.state:<8} {entry.cell.title}{_why(entry.cell.reason)}" for entry in planned]
    waiting = to_run(planned, "missing")
    seconds = Durations.of(entries).remaining([cell.info for cell in waiting], default_workers(1))
    states = ", ".join(f"{count} {state}" for state, count in sorted(count_states(planned).items()))
    time = "unknown (no earlier cell to judge by)" if seconds is None else f"about {clock(seconds)}"
    return "\n".join([*lines, f"{len(planned)} cells in {folder}: {states}. Time to run the rest: {time}."])


def _why(reason: str | None) -> str:
    return f": {reason}" if reason else ""
