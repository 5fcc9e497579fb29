"""The whole report: what stands in its files, what does not, and how long it takes."""

import cProfile
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.records.store import StoreError
from sparsebench.reports.records.vouchers import Standing
from sparsebench.reports.tables.suite_table import SuiteInfo

from .conftest import INFOS

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, attributes and ids, and checks that elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self._look(attributes)

    def handle_startendtag(self, tag, attributes):
        self._look(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def _look(self, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("href", "xlink:href") if name in found]
        self.sources += [found[name] for name in ("src", "srcset", "poster", "data") if name in found]


def test_files(report):
    names = {path.name for path in report.path.parent.iterdir()}
    tables = {f"table-{suite}.{form}" for suite in INFOS for form in ("md", "csv", "tex")}
    assert names == {"index.html", "scores.csv"} | tables


def test_the_page_fetches_nothing(report):
    page = Page(report.text)
    assert page.sources == []
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\(['\"]?http|sourceMappingURL=", report.text)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in report.text
    assert len(page.ids) == len(set(page.ids))


def test_broken_files_are_counted_and_named(report):
    about = report.document["about"]
    assert about["warnings"] == ["1 file skipped"]
    assert "broken.json: truncated: 200 bytes" in about["problems"][0]


def test_every_record_can_be_traced(report, report_records):
    data = json.dumps(report.document)
    assert all(record.id in data for record in report_records)


def test_texts_of_others_are_packed(report):
    """Whatever a label or a traceback holds, the page sets it as text."""
    assert "sparse <b>" not in report.text and "<mask>" not in report.text
    data = json.dumps(report.document)
    assert "sparse <b>" in data and "RuntimeError: <mask> is empty" in data


def test_what_the_reader_must_find(report):
    data = json.dumps(report.document, ensure_ascii=False)
    for words in (
        "LoRA r=8 beats linear probe by +",
        "n/a: a convolutional net has no attention".removeprefix("n/a: "),
        "over 4 GB",
        "validation accuracy fell in the last epoch",
        "Published, not run here",
        "V-PETL-Bench README",
        "BSD-3-Clause",
        "abababababab",
        "2.00×",
        "3 seeds × 4 tasks",
    ):
        assert words in data, words


def test_the_same_records_give_the_same_bytes(report, make, tmp_path):
    pages = [render(Reading(records=make.realistic()), tmp_path / name, INFOS).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_no_records_at_all_and_only_failures(make, tmp_path):
    empty = render(Reading(records=[]), tmp_path, INFOS).read_text()
    Page(empty)
    assert unpack(empty)["tracks"] == []
    text = render(
        Reading(records=[make.record("linear probe", status="failed", reason="why")]), tmp_path, INFOS
    ).read_text()
    assert "why" in json.dumps(unpack(text)["sheets"])


def test_an_unknown_suite_goes_by_its_name(make, tmp_path):
    render(Reading(records=[make.record(cell={"suite": "new/one"})]), tmp_path, INFOS)
    assert (tmp_path / "table-new-one.md").exists()


def test_records_of_older_code_are_counted(make, tmp_path):
    old = make.record("linear probe", code="1", id="k-1", finished="2026-01-01")
    found = unpack(render(Reading(records=[old, make.record("linear probe")]), tmp_path, INFOS).read_text())
    assert "1 of older code not shown" in found["about"]["line"]
    assert "k-1" not in json.dumps(found)


def test_where_the_records_hold_is_told_and_rows_that_do_not_are_marked(make, tmp_path):
    records = [make.record(label, code=label, seed=seed) for label in ("linear probe", "LoRA r=8") for seed in range(3)]
    standing = standing_of(covered=1, outside=1)
    found = unpack(render(Reading(records=records, standings=[standing]), tmp_path, INFOS).read_text())
    note = "Records made by 0123abc; 1 of 2 code paths hold at abcdef01; 1 do not"
    assert found["about"]["holds"].startswith(note)
    for name in ("table-vtab.md", "table-vtab.tex"):
        assert note in (tmp_path / name).read_text()
    marked = {row["name"]: row["other"] for row in found["tracks"][0]["rows"] if row["other"]}
    assert marked == {"LoRA r=8": "3 of 3 records are of code that gives another score now"}
    none = unpack(render(Reading(records=records), tmp_path, INFOS).read_text())
    assert not any(row["other"] for row in none["tracks"][0]["rows"])
    assert "no cell of these records has been run again" in none["about"]["holds"]


def standing_of(**states):
    return Standing(
        commit="abcdef012345",
        records=6,
        excluded={},
        states=Counter(states),
        again=Counter(),
        draws=Counter(),
        outside=frozenset({"LoRA r=8"}),
        other_errors=0,
    )


def test_commits_that_are_not_here_are_told(make, tmp_path):
    record = make.record("linear probe", environment={"commit": "abcdef012345"})
    found = unpack(render(Reading(records=[record], unknown_commits={"abcdef012345"}), tmp_path, INFOS).read_text())
    told = "Commits: 1 of 1 records name a commit that this repository does not have (abcdef01)."
    assert found["about"]["warnings"] == [told]
    assert unpack(render(Reading(records=[record]), tmp_path, INFOS).read_text())["about"]["warnings"] == []


def test_a_broken_speed_file_does_not_hide_the_scores(make, tmp_path):
    (tmp_path / "speed.json").write_text("{")
    reading = Reading(records=[make.record("linear probe")], speed=tmp_path / "speed.json")
    page = render(reading, tmp_path, INFOS)
    found = unpack(page.read_text())
    assert found["tracks"]
    assert "is not the JSON of pytest-benchmark" in json.dumps(found["sheets"])


def test_a_folder_that_cannot_be_written(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        render(Reading(records=[make.record()]), tmp_path / "file" / "out", INFOS)


def test_twice_the_records_take_twice_the_work(make, tmp_path):
    """Calls of functions are counted, not seconds: a part that is quadratic in rows or seeds would show."""
    infos = {"vtab": SuiteInfo(title="vtab", description="", baseline="method 00", unit="x")}

    def calls(rows: int, seeds: int) -> int:
        profile = cProfile.Profile()
        profile.runcall(render, Reading(records=make.grid(rows, 2, seeds, "vtab")), tmp_path, infos)
        return sum(entry.callcount for entry in profile.getstats())

    calls(2, 2)  # what is imported and compiled once
    some = calls(4, 4)
    assert calls(8, 4) < 2.5 * some and calls(4, 8) < 2.5 * some


def test_records_and_store_import_nothing_heavy():
    code = (
        "import sys, sparsebench.reports.records.store, sparsebench.reports.tables.comparison\n"
        "heavy = {'pandas', 'scipy', 'matplotlib', 'numpy', 'torch', 'pydantic', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("load", [None, [], {"layers": None}, {"layers": [0], "per_mille": {"a": ["x"]}}])
def test_huge_numbers_and_malformed_router_loads_do_not_stop_the_report(make, tmp_path, load):
    """R12."""
    details = {"router_load": load}
    records = []
    for seed in range(3):
        records.append(make.record("base", seed=seed, score=make.metric(0.5, stderr=9e99), details=details))
        records.append(make.record("a", seed=seed, score=make.metric((seed - 1) * 9e99, stderr=9e99)))
    info = SuiteInfo(title="V", description="", baseline="base", unit="image")
    found = unpack(render(Reading(records=records), tmp_path, {"vtab": info}).read_text())
    assert "Not drawn: " in json.dumps(found["sheets"])
    assert "e+102" in found["tracks"][0]["rows"][-1]["stext"], "a power of ten, not a hundred digits"
