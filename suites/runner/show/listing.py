"""What `list` says. It reads files only: no torch, no method, no task is imported."""

from collections.abc import Iterable, Sequence

from sparsebench.data.sources import catalogue
from sparsebench.models.registry import plural

from ...contracts.suite import Suite
from ..discovery.entry import PARTS
from ..discovery.installed import problems
from ..discovery.registry import Entry, Kind, entries, methods_of, plugin_problems, suite
from ..documents import EntryDocument, ListDocument, SourceDocument, SuiteDocument
from ..errors import UsageError, near
from ..planning.profile import built_in

OF_SUITES = ("tasks", "backbones", "profiles")
"""Kinds that each suite has of its own."""
KINDS = ("methods", "suites", *OF_SUITES, *map(plural, PARTS), "sources")
"""What can be listed by itself."""
PLAIN = ("methods", "suites", *OF_SUITES)
"""What is listed of one suite unless more is asked for."""


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise `UsageError` for a kind that there is not."""
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"nothing is listed under {kind!r}{near(kind, KINDS)}")


def list_document(names: Sequence[str], kinds: Sequence[str] = KINDS) -> ListDocument:
    """The named suites: the methods that one of them can have, their tasks, backbones and profiles; and what models and
    data have by name. What is of no kind in `kinds` is left empty.

    Raises `UsageError` for an unknown suite.
    """
    check_kinds(kinds)
    of_suites = [kind for kind in OF_SUITES if kind in kinds]
    found = [_suite(suite(name), of_suites) for name in names]
    return {
        "schema": "sparsebench/list/1",
        "methods": _entries(methods_of(names).values()) if "methods" in kinds else [],
        "suites": found if of_suites or "suites" in kinds else [],
        "routers": _parts("router", kinds),
        "splits": _parts("split", kinds),
        "criteria": _parts("criterion", kinds),
        "adapters": _parts("adapter", kinds),
        "sources": _sources() if "sources" in kinds else [],
        "problems": [*problems(), *plugin_problems()],
    }


def _suite(about: Suite, kinds: Sequence[str]) -> SuiteDocument:
    profiles = [profile for profile, owners in built_in().items() if about.name in owners]
    return {
        "name": about.name,
        "title": about.title,
        "description": about.description,
        "tasks": _entries(entries("task", about.name).values()) if "tasks" in kinds else [],
        "backbones": _entries(entries("backbone", about.name).values()) if "backbones" in kinds else [],
        "profiles": profiles if "profiles" in kinds else [],
    }


def _parts(kind: Kind, kinds: Sequence[str]) -> list[EntryDocument]:
    return _entries(entries(kind).values()) if plural(kind) in kinds else []


def _entries(found: Iterable[Entry]) -> list[EntryDocument]:
    ordered = sorted(found, key=lambda entry: entry.name)
    return [{"name": entry.name, "caption": entry.caption, "module": entry.module} for entry in ordered]


def _sources() -> list[SourceDocument]:
    return [
        {
            "name": name,
            "caption": about.citation,
            "kind": about.kind,
            "version": about.version,
            "licence": about.licence,
        }
        for name, about in sorted(catalogue().items())
    ]


def list_text(listing: ListDocument) -> str:
    """The document for people."""
    parts = [_section("methods", listing["methods"])]
    for about in listing["suites"]:
        parts.append(f"\n{about['name']}: {about['title']}. {about['description']}")
        parts.append(_section("  tasks", about["tasks"]))
        parts.append(_section("  backbones", about["backbones"]))
        if about["profiles"]:
            parts.append(f"  profiles: {', '.join(about['profiles'])}")
    for title in ("routers", "splits", "criteria", "adapters", "sources"):
        found: Sequence[EntryDocument | SourceDocument] = listing[title]
        if found:
            parts.append("\n" + _section(title, found))
    parts += listing["problems"]
    return "\n".join(part for part in parts if part).lstrip("\n")


def _section(title: str, found: Sequence[EntryDocument | SourceDocument]) -> str:
    if not found:
        return ""
    width = max(len(entry["name"]) for entry in found)
    return "\n".join([f"{title}:", *(f"    {entry['name']:<{width}}  {entry['caption']}" for entry in found)])
