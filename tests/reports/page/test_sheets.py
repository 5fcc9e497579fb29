"""Sheets: everything that stands beside tracks is reachable."""

from sparsebench.reports.figures import MIME_TYPE, Figure, Gallery, Picture, Words
from sparsebench.reports.page import sheets
from sparsebench.reports.page.speed import SpeedLine, SpeedReport


def test_each_suite_has_its_sheets(report):
    titles = {sheet["id"]: sheet["title"] for sheet in report.document["sheets"]}
    for suite in ("llm", "molecules", "vtab"):
        assert titles[f"{suite}.reading"] == "How to read this"
        assert titles[f"{suite}.notes"] == "What did not run"
    assert {"Molecules", "Property control", "Published figures", "Speed beside peers", "Provenance"} <= {
        *titles.values()
    }


def test_a_panel_belongs_to_the_tracks_whose_tasks_it_shows(report):
    (control,) = [sheet for sheet in report.document["sheets"] if sheet["title"] == "Property control"]
    columns = report.document["suites"]["molecules"]["columns"]
    assert [columns[place]["task"] for place in control["columns"]] == ["property_control"]


def test_blocks_are_of_four_kinds():
    figure = Figure("t", {"mark": "bar"}, "a caption", Words(("a",), (("1",),)))
    chart, words = sheets.chart(figure)
    assert chart == {"kind": "chart", "title": "t", "spec": {"mark": "bar"}, "caption": "a caption"}
    assert words["fold"] == "In words" and words["rows"] == [["1"]]
    pictures = (Picture("CC", "", "<svg></svg>"),)
    shown = sheets.gallery(Gallery(number=2, title="t", kind="path", pictures=pictures, texts="SMILES"))
    assert shown["form"] == "path" and shown["title"] == "2  t"
    assert sheets.text("x") == {"kind": "text", "text": "x", "bad": False}
    assert MIME_TYPE in figure._repr_mimebundle_()


def test_speed_is_drawn_where_there_is_a_peer():
    def kinds(*ratios):
        lines = tuple(
            SpeedLine(group="g", name="n", role="ours", median=1, iqr=0, rounds=3, ratio=ratio, floor=None)
            for ratio in ratios
        )
        (sheet,) = sheets.speed_sheet(SpeedReport("cpu", lines), None)
        return [block["kind"] for block in sheet["blocks"]]

    line = SpeedLine(
        group="g", name="n", role="ours", median=3, iqr=0, rounds=3, ratio=2, floor=None, least=2, scatters=True
    )
    (sheet,) = sheets.speed_sheet(SpeedReport("cpu", (line,)), None)
    assert sheet["blocks"][-1]["rows"][0][2:5] == ["2.00× ~", "–", "1.50×"]
    assert kinds(None) == ["text", "table"]
    assert kinds(2.0, None) == ["text", "chart", "table"]
    assert list(sheets.speed_sheet(None, None)) == []


def test_corrections_are_told_as_they_are(report):
    reading = " ".join(block["text"] for block in report.sheet("vtab.reading")["blocks"])
    assert "corrected over the rows of its track (Bonferroni)" in reading
    assert (
        "Bonferroni" in report.document["footer"]
        and "Claims are corrected over their study (Holm)" in report.document["footer"]
    )
    assert "Controls and ceilings win nothing." in reading


def test_reasons_name_their_rows_and_tasks(make):
    records = [make.record("prefix", task, status="n/a", reason="no attention") for task in ("digits", "svhn")]
    records += [make.record("lora", "digits", status="n/a", reason="no attention"), make.record("a")]
    (block,) = sheets.notes_blocks(records, ())
    (row,) = block["rows"]
    assert row[0] == "no attention" and row[1].startswith("prefix: digits, svhn; lora: ") and row[2] == "3"


def test_failures_and_warnings_are_cut_and_counted(make):
    failed = [make.record("a", seed=seed, status="oom") for seed in range(sheets.MAX_FAILURES + 2)]
    warned = [make.record("b", seed=i, warnings=[f"w{i}", "often"]) for i in range(sheets.MAX_WARNINGS + 3)]
    failures, and_failures, warnings, and_warnings = sheets.notes_blocks([*failed, *warned], ())
    assert len(failures["rows"]) == sheets.MAX_FAILURES and and_failures["text"] == "and 2 more failed cells."
    assert warnings["rows"][0] == ["often", str(sheets.MAX_WARNINGS + 3)]
    assert len(warnings["rows"]) == sheets.MAX_WARNINGS and and_warnings["text"] == "and 4 more kinds of warnings."
