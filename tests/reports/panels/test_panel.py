"""The contract of panels: found by file, the lowest seed, and never in the way of the scores."""

import sys

import pytest

from sparsebench.reports import panels
from sparsebench.reports.panels.molecules import Drawn, MoleculeSet, to_details
from sparsebench.reports.panels.panel import Panel, by_link
from sparsebench.reports.records.record import RecordError

from .pages import page

DICE = '''
"""How often a die showed a six."""

from sparsebench.reports.figures import Figure, Words
from sparsebench.reports.panels.panel import Content, Panel


class Dice(Panel[float]):
    """Sixes per row."""

    key = "dice"

    def parse(self, value):
        return value["sixes"] / value["throws"]

    def show(self, entries):
        rows = tuple((entry.name, entry.task, f"{entry.value:.2f}") for entry in entries)
        words = Words(("row", "task", "share"), rows)
        return Content("Dice", (Figure("Sixes", {"description": "Sixes"}, words=words),), legend="<i>")


PANEL = Dice()
'''


@pytest.fixture
def dice(tmp_path, monkeypatch):
    """One more file in the folder of panels."""
    folder = tmp_path / "more panels"
    folder.mkdir()
    (folder / "dice.py").write_text(DICE)
    monkeypatch.setattr(panels, "__path__", [*panels.__path__, str(folder)])
    yield
    sys.modules.pop(f"{panels.__name__}.dice", None)
    vars(panels).pop("dice", None)


def molecules(smiles):
    return to_details([MoleculeSet("first", "grid", (Drawn(smiles),))])


def test_every_file_is_a_panel_with_a_key_of_its_own():
    found = panels.find_panels()
    assert all(isinstance(panel, Panel) for panel in found)
    keys = [panel.key for panel in found]
    assert sorted(keys) == [
        "compression",
        "data_mixing",
        "deployment",
        "generation",
        "molecules",
        "option_scores",
        "property_columns",
        "property_control",
        "protocol",
        "rest",
        "router_health",
        "router_load",
    ]


def test_a_file_added_to_the_folder_is_on_the_page(make, tmp_path, dice):
    text = page(tmp_path, make.record("row 00", "throw", details={"dice": {"sixes": 3, "throws": 12}}))
    assert "<h3>Dice</h3>" in text
    assert "<td>row 00</td><td>throw</td><td>0.25</td>" in text
    assert "\n<i>\n" in text, "set as text by the page"


def test_of_a_chain_the_last_link_counts(make, tmp_path, dice):
    notes = {f"{link}. dice": {"sixes": link, "throws": 20} for link in (10, 9)}
    text = page(tmp_path, make.record("row 00", "throw", details={**notes, "x. dice": None, "my dice": None}))
    assert "<td>row 00</td><td>throw</td><td>0.50</td>" in text
    assert list(by_link({**notes, "dice": 1, "x. dice": 2}, "dice").items()) == [
        (1, 1),
        (9, notes["9. dice"]),
        (10, notes["10. dice"]),
    ]


@pytest.mark.parametrize("entry", [{"sixes": 1, "throws": 0}, {}, [], None, 3, {"sixes": "x", "throws": 2}])
def test_whatever_stands_there_is_reported(make, tmp_path, dice, entry):
    broken = make.record("row 00", details={"dice": entry})
    text = page(tmp_path, broken, make.record("row 01", details={"dice": {"sixes": 1, "throws": 2}}))
    assert f"Not drawn: record {broken.id}: details['dice'] is not of its form" in text
    assert "<td>row 01</td><td>t</td><td>0.50</td>" in text


OUTSIDE = {
    "fine": DICE.replace("Dice", "Luck"),
    "broken_import": "raise OSError('no dice here')",
    "no_panel": "PANEL = 7",
    "broken_show": DICE.replace('key = "dice"', 'key = "coin"').replace("rows = ", "rows = 1 / 0; "),
}


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A package that brings panels by entry point, two of which cannot be loaded."""
    site = tmp_path / "site"
    (site / "outside_panels").mkdir(parents=True)
    (site / "outside_panels" / "__init__.py").write_text("")
    for name, text in OUTSIDE.items():
        (site / "outside_panels" / f"{name}.py").write_text(text)
    about = site / "outside_panels-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside_panels\nVersion: 1\n")
    lines = "".join(f"{name} = outside_panels.{name}\n" for name in OUTSIDE)
    (about / "entry_points.txt").write_text(f"[sparsebench.panels]\n{lines}")
    monkeypatch.syspath_prepend(site)


def test_panels_of_another_package_are_on_the_page_and_broken_ones_are_named(make, tmp_path, outside):
    entry = {"sixes": 3, "throws": 12}
    text = page(tmp_path, make.record("row 00", "throw", details={"dice": entry, "coin": entry}))
    assert "<h3>Luck</h3>" in text and "<td>0.25</td>" in text
    assert "Not drawn: the panel 'broken_import' of outside_panels.broken_import: OSError: no dice" in text
    assert "Not drawn: the panel 'no_panel' of outside_panels.no_panel: PANEL is a int, no Panel" in text
    assert "Not drawn: the panel of 'coin': ZeroDivisionError" in text


def test_a_panel_may_read_something_else_than_details(make):
    class FirstLoss(Panel[float]):
        key = "first loss"

        def entry(self, record):
            return record.curves["train loss"]

        def parse(self, value):
            return value[0][1]

        def show(self, entries):
            return None

    panel = FirstLoss()
    record = make.record(curves={"train loss": [(1.0, 0.5)]})
    assert panel.has_entry(record) and panel.read(record) == 0.5
    assert not panel.has_entry(make.record())


def test_a_record_without_an_entry_is_not_read(make):
    for panel in panels.find_panels():
        with pytest.raises(KeyError):
            panel.read(make.record())


def test_an_error_of_its_own_is_told_in_its_words(make):
    record = make.record(details={"molecules": [{"title": "t", "kind": "grid", "items": []}]})
    by_key = {panel.key: panel for panel in panels.find_panels()}
    with pytest.raises(RecordError, match="is not of its form: molecules 't': there are none"):
        by_key["molecules"].read(record)


def test_the_lowest_seed_of_each_row_and_task_is_shown(make, tmp_path):
    records = [
        make.record(f"row {row:02d}", task, seed, details=molecules("CC" if seed else "CO"))
        for row in range(2)
        for task in ("t", "u")
        for seed in (2, 0, 1)
    ]
    text = page(tmp_path, *records)
    assert text.count('aria-label="CO"') == 4
    assert 'aria-label="CC"' not in text


def test_broken_entries_of_every_panel_do_not_hide_the_scores(make, tmp_path):
    broken = {"molecules": [{"title": "<b>"}], "property_control": {"logP": []}, "router_load": {"layers": [1]}}
    broken["router_health"] = {"layers": ["0"]}
    text = page(tmp_path, make.record("row 00", details=broken), make.record("row 01", details=molecules("CCO")))
    assert text.count("Not drawn: record ") == 4
    assert 'aria-label="CCO"' in text


def test_problems_are_capped(make, tmp_path):
    records = [make.record(f"row {row:02d}", details={"molecules": 7}) for row in range(panels.MAX_PROBLEMS + 3)]
    assert page(tmp_path, *records).count("Not drawn: record ") == panels.MAX_PROBLEMS


def test_nothing_is_said_where_there_is_nothing(make, tmp_path):
    text = page(tmp_path, make.record())
    for words in ("Property control", "Molecules", "Router load", "Router health", "Not drawn"):
        assert words not in text
