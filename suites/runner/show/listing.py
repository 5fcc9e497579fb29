"""What `list` says. It reads files only: no torch, no method, no task is imported."""

from collections.abc import Iterable, Sequence

from ...contracts.suite import Suite
from ..discovery.registry import Entry, entries, methods_of, plugin_problems, suite
from ..documents import EntryDocument, ListDocument, SuiteDocument
from ..planning.profile import built_in


def list_document(names: Sequence[str]) -> ListDocument:
    """The named suites: the methods that one of them can have, their tasks, backbones and profiles.

    Raises `UsageError` for an unknown suite.
    """
    found = [_suite(suite(name)) for name in names]
    return {
        "schema": "sparsebench/list/1",
        "methods": _entries(methods_of(names).values()),
        "suites": found,
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
