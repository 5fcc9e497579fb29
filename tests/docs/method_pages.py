"""A page for each room of methods: what a method says of itself, its options, and what our studies found on claims."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from sparsebench.suites.runner.discovery.entry import Entry
from sparsebench.suites.runner.discovery.options import options_of
from sparsebench.suites.runner.discovery.registry import methods_of, suites
from sparsebench.suites.runner.planning.chain import links_of
from sparsebench.suites.runner.planning.profile import load_profile

from .tree_pages import ROOT, STUDIES, studies


class Claim(NamedTuple):
    """A row of a study's `claims.md`."""

    study: str
    name: str
    statement: str
    tested: str
    verdict: str
    effect: str


def claims(study: str) -> Iterator[Claim]:
    """The claims that a study judged, as its page has them."""
    for line in (ROOT / STUDIES / study / "claims.md").read_text(encoding="utf-8").splitlines():
        cells = re.split(r"(?<!\\) \| ", line.strip().removeprefix("| ").removesuffix(" |"))
        if len(cells) == 8 and cells[0] != "claim" and not cells[0].startswith("---"):
            name, statement, _, tested, verdict, effect, _, _ = cells
            yield Claim(study, name, statement, tested, verdict, effect)


def methods_by_label(study: str) -> dict[str, set[str]]:
    """The methods of each row of a study, longest labels first; empty where the profile is gone."""
    found: dict[str, set[str]] = {}
    for plan in load_profile(study).plans:
        for row in plan.methods:
            found.setdefault(row.label, set()).update(link.method for link in links_of(row))
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def claims_by_method() -> dict[str, list[Claim]]:
    """The claims whose test names a row of the method."""
    found: dict[str, list[Claim]] = {}
    for study in studies():
        labels = methods_by_label(study)
        for claim in claims(study):
            rest = claim.tested
            named: set[str] = set()
            for label, methods in labels.items():
                whole = re.compile(rf"(?<![\w%]){re.escape(label)}(?![\w])")
                if whole.search(rest):
                    named |= methods
                    rest = whole.sub("", rest)
            for method in sorted(named):
                found.setdefault(method, []).append(claim)
    return found


def room_of(entry: Entry) -> str:
    """`moe` for a method in `suites/methods/moe`, `llm` for one that only the suite llm has."""
    parts = entry.module.split(".")
    return parts[parts.index("methods") + 1] if parts[2] == "methods" else parts[2]


def section(entry: Entry, judged: list[Claim]) -> str:
    """A method."""
    lines = [f"## {entry.name}\n", f"{entry.docstring}\n"]
    options = options_of(entry).values()
    if options:
        lines += ["| option | default | what it is |", "| --- | --- | --- |"]
    for option in options:
        kind = option.kind.replace("|", "\\|")
        text = " ".join(option.text.split()).replace("|", "\\|")
        lines.append(f"| `{option.name}` ({kind}) | `{option.default}` | {text} |")
    if judged:
        lines += ["\nOur verdicts on claims in whose test it is:\n", "| claim | statement | verdict | effect |"]
        lines.append("| --- | --- | --- | --- |")
    for claim in judged:
        objected = (ROOT / STUDIES / claim.study / "objection.md").exists()
        doubt = "; the set-up is objected to" if objected else ""
        place = f"[{claim.name}](../{studies()[claim.study]})"
        lines.append(f"| {place} | {claim.statement} | {claim.verdict}{doubt} | {claim.effect} |")
    return "\n".join(lines) + "\n"


def method_pages() -> dict[str, str]:
    """Text by page."""
    judged = claims_by_method()
    rooms: dict[str, list[str]] = {}
    for entry in sorted(methods_of(suites()).values(), key=lambda entry: entry.name):
        rooms.setdefault(room_of(entry), []).append(section(entry, judged.get(entry.name, [])))
    return {f"methods/{room}.md": f"# Methods: {room}\n\n" + "\n".join(parts) for room, parts in sorted(rooms.items())}
