"""The front page of a site: what the pages of several result folders found, each with its link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..tables.claims import VERDICTS
from .html import FOOTER, WEB, from_template


@dataclass(frozen=True)
class Study:
    """One page of the site: its folder below the front page, and the data that it shows (`html.unpack`)."""

    path: str
    document: Mapping[str, Any]


def render_site(title: str, studies: Sequence[Study]) -> str:
    """The front page as text; any server of files, or none, shows it.

    Args:
        title: of the site.
        studies: its pages, in order.
    """
    cards = []
    for study in studies:
        about = study.document["about"]
        shown = {name: about[name] for name in ("line", "holds", "warnings")}
        found = study.document["findings"]
        cards.append({**shown, "path": study.path, "title": study.document["title"], "findings": found})
    return from_template(
        "site.html.jinja",
        title=title,
        style=(WEB / "style.css").read_text(encoding="utf-8"),
        studies=cards,
        verdicts=_verdicts(studies),
        footer=FOOTER,
    )


def _verdicts(studies: Sequence[Study]) -> dict[str, int]:
    """Verdict to the claims of papers that have it, over all studies; empty without claims."""
    parts = [part for study in studies if study.document["claims"] for part in study.document["claims"]["parts"]]
    if not parts:
        return {}
    return {verdict: sum(part["count"] for part in parts if part["verdict"] == verdict) for verdict in VERDICTS}
