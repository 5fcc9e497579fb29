"""What `list` and `show` say. `list` reads files only: no torch, no method, no task is imported."""

import ast
from collections.abc import Iterable, Sequence

from ..contracts.suite import Suite
from .discovery.registry import Entry, entries, find, plugin_problems, suite, suites
from .documents import EntryDocument, ListDocument, SuiteDocument
from .errors import UsageError, near
from .planning.profile import built_in
from .planning.rows import JOIN, chain_of


def list_document(names: Sequence[str]) -> ListDocument:
    """Methods, and the tasks, backbones and profiles of the named suites. Raises `UsageError` for an unknown one."""
    return {
        "schema": "sparsebench/list/1",
        "methods": _entries(entries("method").values()),
        "suites": [_suite(suite(name)) for name in names],
        "problems": list(plugin_problems()),
    }


def _suite(about: Suite) -> SuiteDocument:
    return {
        "name": about.name,
        "title": about.title,
        "description": about.description,
        "tasks": _entries(entries("task", about.name).values()),
        "backbones": _entries(entries("backbone", about.name).values()),
        "profiles": [profile for profile, owners in built_in().items() if about.name in owners],
    }


def _entries(found: Iterable[Entry]) -> list[EntryDocument]:
    ordered = sorted(found, key=lambda entry: entry.name)
    return [{"name": entry.name, "caption": entry.caption, "module": entry.module} for entry in ordered]


def list_text(listing: ListDocument) -> str:
    """The document for people."""
    parts = [_section("methods", listing["methods"])]
    for about in listing["suites"]:
        parts.append(f"\n{about['name']}: {about['title']}. {about['description']}")
        parts.append(_section("  tasks", about["tasks"]))
        parts.append(_section("  backbones", about["backbones"]))
        parts.append(f"  profiles: {', '.join(about['profiles'])}")
    parts += listing["problems"]
    return "\n".join(parts)


def _section(title: str, found: Sequence[EntryDocument]) -> str:
    width = max((len(entry["name"]) for entry in found), default=0)
    return "\n".join([f"{title}:", *(f"    {entry['name']:<{width}}  {entry['caption']}" for entry in found)])


def describe(name: str) -> str:
    """Everything known by that name, without running it; of a chain of methods (`first+second`), of each."""
    from sparsebench.data.sources import catalogue

    if JOIN in name:
        return "\n\n".join(_describe_entry(find("method", link.method)) for link in chain_of(name))
    found = [entry for entry in _everything() if entry.name == name]
    parts = [_describe_entry(entry) for entry in found]
    if name in suites():
        parts.append(list_text(list_document([name])))
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
