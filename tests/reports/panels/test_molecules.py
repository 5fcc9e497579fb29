"""Molecules: what a record keeps of them, and what the page shows, escaped and a bounded amount."""

import json
import re

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.panels.molecules import MAX_MOLECULES, MAX_SETS, PANEL, Drawn, MoleculeSet, to_details
from sparsebench.reports.records.record import RecordError

from .pages import INFOS, as_text, page


def titles(text):
    return re.findall(r"(?m)^(\d+  row .*: first)$", text)


def details(smiles="CCO", title="first", size=1):
    return to_details([MoleculeSet(title, "grid", (Drawn(smiles, "a caption"),) * size)])


def test_a_record_keeps_them(make):
    found = [
        MoleculeSet("grid <b>", "grid", (Drawn("CCO", "a & b"), Drawn(""))),
        MoleculeSet("path", "path", (Drawn("C("),)),
    ]
    kept = to_details(found)
    assert kept["molecules"][0]["items"] == [{"smiles": "CCO", "caption": "a & b"}, {"smiles": "", "caption": ""}]
    assert PANEL.read(make.record(details=json.loads(json.dumps(kept)))) == tuple(found)
    assert to_details([]) == {}


@pytest.mark.parametrize(
    "entry",
    [
        [{"title": "t", "kind": "circle", "items": [{"smiles": "C", "caption": ""}]}],
        [{"title": "t", "kind": "grid", "items": []}],
        [{"title": "t", "kind": "grid", "items": [{"smiles": 3, "caption": ""}]}],
        [{"title": "t", "kind": "grid", "items": [{"smiles": "C"}]}],
        [{"title": "t", "items": []}],
        ["C"],
        {"C": 1},
        7,
        [{"title": "t", "kind": ["grid"], "items": [{"smiles": "C", "caption": ""}]}],
    ],
)
def test_another_form_is_an_error_that_names_the_record(make, entry):
    record = make.record(details={"molecules": entry})
    with pytest.raises(RecordError, match=record.id):
        PANEL.read(record)


def test_every_row_and_task_has_its_sets(make, tmp_path):
    records = [make.record(f"row {row:02d}", task, details=details()) for row in range(2) for task in ("t", "u")]
    assert titles(page(tmp_path, *records)) == [
        f"{row + 1}  row {row:02d} · {task}: first" for row in range(2) for task in "tu"
    ]


def test_sets_are_capped_and_the_page_says_so(make, tmp_path):
    records = [make.record(f"row {row:02d}", details=details()) for row in range(MAX_SETS + 2)]
    text = page(tmp_path, *records)
    assert len(titles(text)) == MAX_SETS
    assert "2 more sets are in the records." in text
    assert "1 more sets are in the records." in page(tmp_path, *records[:-1])
    assert "in the records." not in page(tmp_path, *records[:-2])


def test_large_sets_are_cut(make, tmp_path):
    text = page(tmp_path, make.record(details=details(size=MAX_MOLECULES + 3)))
    assert text.count('aria-label="CCO"') == MAX_MOLECULES
    assert "3 more of this set are in the record." in text


def test_texts_are_escaped_and_what_cannot_be_read_is_shown(make, tmp_path):
    bad = '"><script>alert(1)</script>'
    drawn = MoleculeSet(f"title {bad}", "path", (Drawn(f"C{bad}", f"caption {bad}"), Drawn("")))
    html = render(Reading(records=[make.record(details=to_details([drawn]))]), tmp_path, INFOS).read_text()
    assert "alert(1)" not in html, "packed"
    text = as_text(unpack(html))
    assert f"not drawn 'C{bad}'" in text
    assert "not drawn ''" in text
