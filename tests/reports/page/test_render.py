"""The whole report: what stands on the page, what does not, and how long it takes."""

import cProfile
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest

from sparsebench.reports.page.render import render
from sparsebench.reports.records.record import to_json
from sparsebench.reports.records.store import Store, StoreError
from sparsebench.reports.records.vouchers import Standing
from sparsebench.reports.tables.suite_table import SuiteInfo

INFOS = {
    "vtab": SuiteInfo(title="Vision", description="Small images.", baseline="linear probe", unit="image"),
    "llm": SuiteInfo(title="Language", description="Dense to MoE.", baseline="dense", unit="token"),
    "molecules": SuiteInfo(title="Chemistry", description="Molecules.", baseline="ECFP4 + ridge", unit="molecule"),
}
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


@pytest.fixture(scope="module")
def report(make, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    store = Store(out / "results").create()
    for record in make.realistic():
        (store.records / f"{record.id}.json").write_text(to_json(record))
    (store.records / "broken.json").write_text(to_json(record)[:200])
    records, problems = store.read_all()
    speed = out / "speed.json"
    run = {
        "group": "g",
        "name": "ours",
        "stats": {"median": 0.01, "iqr": 0.0, "rounds": 5},
        "extra_info": {"role": "ours"},
    }
    peer = run | {"name": "theirs", "extra_info": {"role": "peer"}, "stats": {"median": 0.02, "iqr": 0.0, "rounds": 5}}
    speed.write_text(json.dumps({"benchmarks": [run, peer]}))
    page = render(records, problems, out / "report", INFOS, speed)
    return page, page.read_text()


def test_files(report):
    names = {path.name for path in report[0].parent.iterdir()}
    tables = {f"table-{suite}.{form}" for suite in INFOS for form in ("md", "csv", "tex")}
    assert names == {"index.html", "scores.csv"} | tables


def test_the_page_fetches_nothing(report):
    text = report[1]
    page = Page(text)
    assert page.sources == []
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


def test_links_lead_somewhere(report):
    page = Page(report[1])
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_ids_of_the_page_are_unique(report):
    outside = re.sub(r"<svg.*?</svg>", "", report[1], flags=re.DOTALL)
    ids = Page(outside).ids
    assert len(ids) == len(set(ids))


def test_broken_files_are_counted_and_named(report):
    text = " ".join(Page(report[1]).text)
    assert "1 unreadable file skipped" in text
    assert "broken.json" in text
    assert "truncated: 200 bytes" in text


def test_every_record_can_be_traced(report, make):
    assert all(record.id in report[1] for record in make.realistic())


def test_labels_and_tracebacks_are_escaped(report):
    assert "<b>" not in report[1]
    assert "sparse &lt;b&gt;" in report[1]
    assert "RuntimeError: &lt;mask&gt; is empty" in report[1]


def test_what_the_reader_must_find(report):
    text = " ".join(" ".join(Page(report[1]).text).split())
    for words in (
        "LoRA r=8 beats linear probe by +",
        "No method beats dense",
        "n/a: a convolutional net has no attention",
        "over 4 GB",
        "validation accuracy fell in the last epoch",
        "published (not run here)",
        "V-PETL-Bench README",
        "BSD-3-Clause",
        "abababababab…",
        "2.00×",
        "3 seeds × 4 tasks",
    ):
        assert words in text, words


def test_the_same_records_give_the_same_bytes(report, make, tmp_path):
    pages = [render(make.realistic(), [], tmp_path / name, INFOS).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_no_records_at_all_and_only_failures(make, tmp_path):
    Page(render([], [], tmp_path, INFOS).read_text())
    text = render([make.record("linear probe", status="failed", reason="why")], [], tmp_path, INFOS).read_text()
    Page(text)
    assert "why" in text


def test_an_unknown_suite_goes_by_its_name(make, tmp_path):
    render([make.record(cell={"suite": "new/one"})], [], tmp_path, INFOS)
    assert (tmp_path / "table-new-one.md").exists()


def test_records_of_older_code_are_counted(make, tmp_path):
    old = make.record("linear probe", code="1", id="k-1", finished="2026-01-01")
    text = render([old, make.record("linear probe")], [], tmp_path, INFOS).read_text()
    assert "1 of older code not shown" in text
    assert "k-1" not in text


def test_where_the_records_hold_is_told_and_rows_that_do_not_are_marked(make, tmp_path):
    records = [make.record(label, code=label, seed=seed) for label in ("linear probe", "LoRA r=8") for seed in range(3)]
    standing = standing_of(covered=1, outside=1)
    text = render(records, [], tmp_path, INFOS, standings=[standing]).read_text()
    note = "Records made by 0123abc; 1 of 2 code paths hold at abcdef01; 1 do not"
    assert text.index(note) < text.index("<main>")
    for name in ("table-vtab.md", "table-vtab.tex"):
        assert note in (tmp_path / name).read_text()
    assert text.count(">other now</span>") == 1
    row = text[text.index("<tbody>") : text.index(">other now</span>")].rpartition("<tr")[2]
    assert "LoRA r=8" in row and 'title="3 of 3 records are of code that gives another score now"' in row
    none = render(records, [], tmp_path, INFOS).read_text()
    assert "other now" not in none and "no cell of these records has been run again" in none


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
    text = render([record], [], tmp_path, INFOS, unknown_commits={"abcdef012345"}).read_text()
    assert "1 of 1 records name a commit that this repository does not have (abcdef01)." in text
    assert 'id="commits"' not in render([record], [], tmp_path, INFOS).read_text()


def test_of_very_many_records_the_page_names_a_few_of_each_cell(make, tmp_path, monkeypatch):
    records = [make.record("linear probe", seed=seed) for seed in range(20)]
    monkeypatch.setattr("sparsebench.reports.page.html.MAX_LISTED", 19)
    text = render(records, [], tmp_path, INFOS).read_text()
    assert "and 17 more, in <code>scores.csv</code>" in text
    assert sum(record.id in text for record in records) == 3
    scores = (tmp_path / "scores.csv").read_text()
    assert all(record.id in scores for record in records)


def test_a_broken_speed_file_does_not_hide_the_scores(make, tmp_path):
    (tmp_path / "speed.json").write_text("{")
    page = render([make.record("linear probe")], [], tmp_path, INFOS, tmp_path / "speed.json")
    assert "is not the JSON of pytest-benchmark" in page.read_text()


def test_a_folder_that_cannot_be_written(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        render([make.record()], [], tmp_path / "file" / "out", INFOS)


def test_twice_the_records_take_twice_the_work(make, tmp_path):
    """Calls of functions are counted, not seconds: a part that is quadratic in rows or seeds would show."""
    infos = {"vtab": SuiteInfo(title="vtab", description="", baseline="method 00", unit="x")}

    def calls(rows: int, seeds: int) -> int:
        profile = cProfile.Profile()
        profile.runcall(render, make.grid(rows, 2, seeds, "vtab"), [], tmp_path, infos)
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
    text = render(records, [], tmp_path, {"vtab": info}).read_text()
    assert "Not drawn: " in text
    assert "e+102" in text, "a power of ten, not a hundred digits"
