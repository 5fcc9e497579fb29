"""Ours stand under the published row of the same name, with their intervals."""

from sparsebench.reports.published.side_by_side import alone, beside
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.published import PAPER, Line, Shown, SideBySide


def published(columns, **rows):
    return SideBySide("s", columns, tuple(Line(PAPER, name, texts) for name, texts in rows.items()))


BLOCK = published(
    tuple((task, "acc (%)") for task in ("t1", "mean", "t9")), x=("50.1", "60.2", "1"), y=("51.0", "–", "2")
)
TASKS = {"t1": ("t1",), "mean": ("t1", "t2")}


def rows(make):
    records = []
    for label, scores in {"x": (0.25, 0.75), "z": (0.5, None)}.items():
        for task, score in zip(("t1", "t2"), scores, strict=True):
            if score is not None:
                records += make.side(label, [score, score], task)
    (matrix,) = matrices(records)
    return matrix


def test_ours_stand_under_theirs(make):
    found = beside(BLOCK, rows(make), TASKS, lambda row: row.label, lambda row: "ours")
    assert found.columns == (("t1", "acc (%)"), ("mean", "acc (%)")), "what has no counterpart here is left out"
    assert [(line.who, line.name) for line in found.lines] == [
        *(("paper", "x"), ("ours", "x"), ("paper", "y"), ("ours", "z")),
    ]
    paper, ours, _, other = found.lines
    assert paper.texts == ["50.1", "60.2"]
    assert ours.texts[0].startswith("25.0 ± ") and ours.texts[1].startswith("50.0 ± "), "the mean of both tasks"
    assert other.texts[1] == "–", "no mean where a task has no score"


def test_numbers_are_those_that_are_printed(make):
    ours = beside(BLOCK, rows(make), TASKS, lambda row: row.label, lambda row: "ours").lines[1].values[0]
    assert isinstance(ours, Shown)
    numbers = ours.numbers()
    assert numbers["value"] == 25.0 and numbers["unit"] == "%"
    assert numbers["low"] < 25.0 < numbers["high"]


def test_several_metrics_of_a_task_are_told_apart_by_name(make):
    block = published((("t1", "FCD/Test"), ("t1", "valid (%)")), x=("1.0", "99.0"))
    metrics = {"FCD/Test": make.metric(2.0, unit="", stderr=None), "valid": make.metric(0.5, stderr=None)}
    (matrix,) = matrices([make.record("x", "t1", metrics=metrics, main_metric="FCD/Test")])
    _, ours = beside(block, matrix, {"t1": ("t1",)}, lambda row: row.label, lambda row: "ours").lines
    assert ours.texts == ["2.000", "50.0"]
    shown = alone(matrix, lambda row: "all of it", lambda row: "stand-in")
    assert shown.columns == (("t1", "FCD/Test"), ("t1", "valid"))
    assert [(line.who, line.name, line.texts) for line in shown.lines] == [("stand-in", "all of it", ["2.000", "50.0"])]


def test_a_fraction_is_shown_as_the_paper_shows_it(make):
    """ "validity (%)" of a paper is per cent, its "Scaf/Test" a fraction."""
    block = published((("t1", "validity (%)"), ("t1", "Scaf/Test")), x=("97.0", "0.99"))
    metrics = {"accuracy": make.metric(0.1), "validity": make.metric(0.9, stderr=None)}
    metrics["Scaf/Test"] = make.metric(0.8, stderr=None)
    (matrix,) = matrices([make.record("x", "t1", metrics=metrics)])
    _, ours = beside(block, matrix, {"t1": ("t1",)}, lambda row: row.label, lambda row: "ours").lines
    assert ours.texts == ["90.0", "0.800"]
