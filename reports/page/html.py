"""The one self-contained HTML page: its data, charts and scripts in one file, nothing fetched, readable on a phone.

And the front page of a site: what the pages of several result folders found, each with its link.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..records.record import Record
from ..tables import formatting
from ..tables.claims import VERDICTS
from . import charts, headlines
from .provenance import Provenance, provenance
from .reading import Reading
from .rows import columns_of, rows_of
from .section import Section
from .sheets import claims_sheet, provenance_sheet, speed_sheet, suite_sheets
from .speed import speed_or_reason
from .tracks import tracks

HERE = Path(__file__).parent
WEB = HERE / "web"
VENDOR = HERE / "vendor"
SCRIPTS = ("vega.min.js", "vega-lite.min.js", "tabulator.min.js")
"""Of others, in the order in which they need each other; `vendor/README.md` says where they are from."""
OWN_SCRIPTS = ("state.js", "charts.js", "blocks.js", "table.js", "drawer.js", "screens.js", "main.js")
STYLES = (VENDOR / "tabulator.min.css", WEB / "style.css")
MOST_PROBLEMS = 50
Notes = tuple[str, str]
"""What made the records and where they hold; what is not right with the commits that they name. Each may be empty."""
FOOTER = (
    "Intervals are 95 % and cover seeds and test examples; where one of the two is unknown, that is said. Differences "
    "are paired by task, seed and, where the outcomes of the examples are kept, by example. Intervals and p of the "
    "rows of a track against its baseline are corrected over these rows (Bonferroni); two picked rows are one "
    "comparison, uncorrected. Claims are corrected over their study (Holm). All numbers: scores.csv next to this page."
)


def to_document(
    reading: Reading, records: Sequence[Record], sections: Iterable[Section] = (), notes: Notes = ("", "")
) -> dict[str, Any]:
    """All that the page shows as one JSON value.

    Args:
        reading: what is reported.
        records: the newest of each cell.
        sections: of the suites.
        notes: on the records.
    """
    found = []
    told = []
    suites = {}
    sheets = []
    for one in sections:
        found += tracks(one)
        told += one.headlines
        suites[one.anchor] = {
            "title": one.info.title,
            "columns": columns_of(one),
            "rows": rows_of(one, reading.whole, reading.where),
        }
        sheets += suite_sheets(one, reading.whole)
    if reading.findings:
        sheets.append(claims_sheet(reading.findings))
    sheets += speed_sheet(*speed_or_reason(reading.speed))
    behind = provenance(records) if records else None
    if behind is not None:
        sheets.append(provenance_sheet(behind))
    return {
        "title": reading.title,
        "about": _about(reading, records, behind, notes),
        "findings": headlines.findings(told, reading.findings),
        "claims": headlines.claims_bar(reading.findings),
        "tracks": found,
        "suites": suites,
        "sheets": sheets,
        "charts": {"seeds": charts.seeds(), "curve": charts.curve()},
        "footer": FOOTER,
    }


def _about(reading: Reading, records: Sequence[Record], behind: Provenance | None, notes: Notes) -> dict[str, Any]:
    holds, commits = notes
    counts = Counter(record.status for record in records)
    # What went well comes first, whatever happened first.
    ordered = sorted(counts.items(), key=lambda item: item[0] != "ok")
    statuses = ", ".join(f"{count} {status}" for status, count in ordered)
    parts = [formatting.counted(len(records), "record") + (f": {statuses}" if statuses else "")]
    if behind is not None:
        took = formatting.duration(behind.seconds)
        parts += [f"last finished {formatting.moment(behind.finished)}", f"{took} inside cells"]
    superseded = len(reading.records) - len(records)
    if superseded:
        parts.append(f"{superseded} of older code not shown")
    return {
        "line": " · ".join(parts),
        "holds": f"{holds}." if holds else "",
        "words": from_markdown(reading.words),
        "warnings": _warnings(reading, commits),
        "problems": [f"{problem.path}: {problem.reason}" for problem in reading.problems[:MOST_PROBLEMS]],
    }


def _warnings(reading: Reading, commits: str) -> list[str]:
    """What a reader must know before any result."""
    found = [reading.objection, f"Commits: {commits}." if commits else ""]
    if reading.problems:
        found.append(f"{formatting.counted(len(reading.problems), 'file')} skipped")
    return [words for words in found if words]


def render_html(reading: Reading, records: Sequence[Record], sections: Iterable[Section], notes: Notes) -> str:
    """The page as text, of what `to_document` takes."""
    return from_template(
        "page.html.jinja",
        title=reading.title,
        styles=[_text(path) for path in STYLES],
        scripts=[_text(VENDOR / name) for name in SCRIPTS] + [_text(WEB / name) for name in OWN_SCRIPTS],
        data=pack(to_document(reading, records, sections, notes)),
        version=version("sparsebench"),
    )


def render_site(title: str, studies: Mapping[str, Mapping[str, Any]]) -> str:
    """The front page of a site as text; any server of files, or none, shows it.

    Args:
        title: of the site.
        studies: folder of a page, below the front page, to the data that it shows (`unpack`), in order.
    """
    cards = []
    for path, document in studies.items():
        shown = {name: document["about"][name] for name in ("line", "holds", "warnings")}
        cards.append({**shown, "path": path, "title": document["title"], "findings": document["findings"]})
    return from_template(
        "site.html.jinja",
        title=title,
        style=(WEB / "style.css").read_text(encoding="utf-8"),
        studies=cards,
        verdicts=_verdicts(studies.values()),
        footer=FOOTER,
    )


def _verdicts(documents: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Verdict to the claims of papers that have it, over all studies; empty without claims."""
    found: Counter[str] = Counter()
    for document in documents:
        for part in document["claims"]["parts"] if document["claims"] else ():
            found[part["verdict"]] += part["count"]
    return {verdict: found[verdict] for verdict in VERDICTS} if found else {}


def from_template(name: str, **values: Any) -> str:
    """A page by the template of that name; texts are escaped, and a value that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(WEB), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(name).render(values)


def from_markdown(words: str) -> str:
    """Markdown with tables as HTML; tags and scripts in it are shown as text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").render(words)


def _text(path: Path) -> str:
    """A script or style without the comment that names its map: a browser that looks into the page would ask for it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if "sourceMappingURL" not in line or len(line) > 200)


def pack(document: dict[str, Any]) -> str:
    """A JSON value as compressed text for the page; equal values are equal texts."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def unpack(html: str) -> dict[str, Any]:
    """The JSON value of a page that `render_html` made."""
    text = html.partition('<script id="data" type="application/octet-stream">')[2].partition("</script>")[0]
    return json.loads(gzip.decompress(base64.b64decode(text)))
