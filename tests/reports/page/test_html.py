"""The page: counts, its data packed and unpacked, and what is vendored; the front page of a site."""

import hashlib
from dataclasses import replace
from pathlib import Path

from sparsebench.reports.page.html import (
    OWN_SCRIPTS,
    SCRIPTS,
    VENDOR,
    WEB,
    pack,
    render_html,
    render_site,
    to_document,
    unpack,
)
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.section import section
from sparsebench.reports.tables.claims import judge
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo

from ..tables.claims.studies import CLAIM

INFO = SuiteInfo(title="Vision <b>", description="Small images.", baseline="base", unit="image")
EMPTY = Reading(records=())


def test_statuses_are_counted_the_good_ones_first(make):
    records = [make.record("a", seed=0, status="oom"), make.record("a", seed=1), make.record("a", seed=2)]
    assert to_document(EMPTY, records)["about"]["line"].startswith("3 records: 2 ok, 1 oom · ")


def test_the_data_come_back_from_the_page(make):
    record = make.record("base")
    (matrix,) = matrices([record])
    reading = Reading(records=[record], folders=(Path("a <b> title"),))
    page = (reading, [record], [section(matrix, INFO, "vision")], ("3 of 4 hold", ""))
    text = render_html(*page)
    assert unpack(text) == to_document(*page)
    assert "a &lt;b&gt; title" in text and "Vision <b>" not in text
    assert pack({"a": 1}) == pack({"a": 1}), "the same bytes"


def test_claims_and_where_records_hold_are_told():
    claim = replace(CLAIM, statement="A is <better>.")
    found = to_document(Reading(records=(), findings=judge([claim], [])), (), notes=("3 of 4 hold", ""))
    assert found["about"]["holds"] == "3 of 4 hold."
    assert found["claims"]["total"] == 1
    (sheet,) = found["sheets"]
    assert sheet["blocks"][0]["text"] == "1 claim of papers: 1 is undecided."
    assert sheet["blocks"][1]["rows"][0][1] == "A is <better>."


def test_what_people_read_is_html_without_tags_of_theirs():
    words = "One *point*, <script>x</script>, [evil](javascript:x).\n\n| a |\n| --- |\n| 1 |\n"
    found = to_document(Reading(records=(), words=words), ())["about"]["words"]
    assert "<p>One <em>point</em>, &lt;script&gt;" in found and "<table>" in found and "href" not in found
    assert to_document(EMPTY, ())["about"]["words"] == ""


def test_what_others_made_is_as_they_published_it():
    """The checksums are those of the files in the packages that `README.md` names."""
    told = (VENDOR / "README.md").read_text()
    files = [*SCRIPTS, "tabulator.min.css"]
    for name in files:
        assert f"| `{name}` |" in told
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() in told, name
    for name in ("vega", "vega-lite", "tabulator"):
        assert "Redistribution" in (text := (VENDOR / f"{name}.LICENSE.txt").read_text()) or "MIT License" in text


def test_every_script_of_our_own_is_on_the_page():
    assert {path.name for path in WEB.glob("*.js")} == set(OWN_SCRIPTS)
    for name in OWN_SCRIPTS:
        assert "http" not in (WEB / name).read_text()


def study(title, claims=None, findings=()):
    about = {"line": "3 records", "holds": "", "warnings": ["Objected to."], "problems": []}
    return {"title": title, "about": about, "claims": claims, "findings": list(findings)}


def test_a_site_sums_the_claims_and_links_every_page():
    parts = [{"verdict": "holds", "count": 2}, {"verdict": "undecided", "count": 1}]
    finding = {"lead": "Holds: ", "text": "A < B", "open": "sheet=claims"}
    studies = {"one": study("one", {"parts": parts}, [finding]), "two": study("two", {"parts": parts[:1]})}
    text = render_site("all", studies)
    assert "5 claims of papers" in text and 'aria-label="4 holds, 0 fails' in text
    assert 'href="one/index.html"' in text and 'href="one/index.html#sheet=claims"' in text
    assert "A &lt; B" in text and text.count("Objected to.") == 2


def test_a_site_without_claims_has_no_bar():
    assert "claims of papers" not in render_site("all", {"one": study("one")})
