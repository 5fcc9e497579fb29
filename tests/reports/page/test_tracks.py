"""Tracks: rows with roles, the best row by an independent way, what is shown first."""

import dataclasses

from sparsebench.reports.page.tracks import MOST_SMALL, small_rows

from .best_rows import best_rows


def test_the_best_row_of_each_track_is_that_of_the_records(report, report_records):
    plain = [dataclasses.asdict(record) for record in report_records]
    found = best_rows(plain, report.document)
    assert len(found) == len(report.document["tracks"]) == 5
    assert all(ours == shown for ours, shown in found.values()), found
    assert sum(shown is None for _, shown in found.values()) == 1, "no row ran on all tasks of it"


def test_no_control_and_no_ceiling_is_crowned(report):
    """Both have the best scores of all, 99 % on each task."""
    track = report.track("Accuracy over 4 tasks")
    roles = {row["name"]: row["role"] for row in track["rows"]}
    assert roles["shuffled"] == "control" and roles["copies"] == "ceiling"
    assert max(track["rows"], key=lambda row: row["score"] or 0)["role"] in ("control", "ceiling")
    for one in report.document["tracks"]:
        crowned = [row["role"] for row in one["rows"] if row["best"] or row["i"] == one["best"]]
        assert set(crowned) <= {"baseline", "method"}, one["name"]
        assert "shuffled" not in one["sentence"] and "copies" not in one["sentence"]
    assert track["counts"] == {"better": 3}, "methods with scores alone"


def test_rows_have_texts_beside_their_numbers(report):
    track = report.track("Accuracy over 4 tasks")
    rows = {row["name"]: row for row in track["rows"]}
    row = rows["LoRA r=8"]
    assert row["text"].startswith("+") and row["low"] < row["effect"] < row["high"]
    assert row["stext"].startswith(f"{row['score']:.1f}"), "in per cent"
    assert row["kind"] == row["outcome"] == "better"
    assert row["against"] == rows["linear probe"]["i"]
    assert rows["linear probe"]["effect"] == 0.0 and rows["linear probe"]["kind"] == "baseline"
    assert row["c0t"] == "4.95 M"
    digits = [task["name"] for task in track["tasks"]].index("Handwritten digits")
    assert row[f"s{digits}t"].startswith("94")
    assert row["seeds"] == 3


def test_rows_stand_by_their_effect_and_those_without_last(report):
    for track in report.document["tracks"]:
        effects = [row["effect"] for row in track["rows"]]
        known = [effect for effect in effects if effect is not None]
        assert known == sorted(known, reverse=True)
        assert effects[: len(known)] == known


def test_a_small_plot_always_has_its_baseline():
    blank = {"name": "", "kind": "", "low": 0, "high": 0, "text": ""}
    rows = [{**blank, "i": number, "role": "method", "effect": -number} for number in range(30)]
    rows.append({**blank, "i": 30, "role": "baseline", "effect": -99})
    rows.append({**blank, "i": 31, "role": "method", "effect": None})
    found = small_rows(rows)
    assert len(found) == MOST_SMALL
    assert found[-1]["role"] == "baseline"


def test_the_first_axes_are_those_in_which_rows_differ(report):
    track = report.track("Accuracy over 4 tasks")
    assert track["x"] == "c0" and track["costs"][0] == "active params"
    assert track["y"] == "score"
    assert track["measure"] == "accuracy (%) ↑"
    assert report.track("Bpb code")["measure"] == "bits per byte ↓"
