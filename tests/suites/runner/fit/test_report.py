"""The words and the table of a fit, from made records."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from sparsebench.data.labelled.dealt import Rejected
from sparsebench.data.own.columns import Columns
from sparsebench.reports.records.record import Costs
from sparsebench.suites.prediction.several_columns import BY_COLUMN, OF_COLUMNS
from sparsebench.suites.runner.fit.candidates import candidates_of, matrix_of, suite_info
from sparsebench.suites.runner.fit.recommendation import recommend
from sparsebench.suites.runner.fit.report import about_data, lines_of, sentences, to_rich
from sparsebench.suites.runner.fit.sources import OwnData

from ....reports.make_records import metric, record
from .test_candidates import scored

OWN = OwnData(
    kind="images",
    place=Path("photos"),
    counts={"train": 12, "val": 4, "test": 4},
    goal="classification",
    classes=("cat", "dog"),
    columns=Columns("", ()),
    rejected=tuple(Rejected(f"cat/{number}.txt", "no image") for number in range(7)),
)


def test_the_words_and_the_table() -> None:
    records = [scored("linear_probe", 0, 0.5, 1, flops=5e6), scored("tuned", 0, 0.75, 1, flops=7e6)]
    matrix = matrix_of(records, {}, "vtab")
    info = suite_info("vtab")
    candidates, _ = candidates_of(matrix, info)
    found = recommend(candidates, True, 4)
    said = sentences(found, matrix, OWN)
    assert said[0].startswith("recommended: linear_probe · vit-tiny (cannot tell: 4 validation examples")
    assert said[1] == "chosen by accuracy on 4 validation examples, one seed, which changes nothing of this row"
    assert said[2].startswith("the best there is tuned · vit-tiny; the recommended row is −25.0 [")
    assert said[3].startswith("on 4 test examples, which chose nothing: accuracy 50.0")
    untold = "cannot tell which row is best: of 2 not shown to be worse, the recommended one is cheapest; more "
    assert said[4] == untold + "labelled examples would decide"
    said = sentences(replace(found, lacks_seeds=True), matrix, OWN)
    assert said[4].endswith("more seeds (--seeds) would decide")
    lines = lines_of(matrix, info, candidates)
    assert [(line.row, line.outcome, line.operations) for line in lines] == [
        ("tuned · vit-tiny", "undecided", "7 M"),
        ("linear_probe · vit-tiny", "baseline", "5 M"),
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(to_rich(lines, matrix, found.chosen.name))
    assert all(len(line) <= 80 for line in console.export_text().splitlines())


def test_several_columns_of_numbers_say_their_unit_and_have_each_its_own_beside_it() -> None:
    records = []
    for label, seed, rmse in (("linear_probe", 0, 0.5), ("tuned", 0, 0.9), ("tuned", 1, 1.1)):
        score = metric(rmse, unit=OF_COLUMNS, higher_is_better=False, n=8, stderr=0.25)
        alone = {"logS": {"rmse": 2 * rmse, "standard deviation": 2.0}, "mp": {"rmse": None, "standard deviation": 9.0}}
        kept = {"prediction": [[rmse] * 2] * 4, "target": [[0.0, 0.0]] * 4}
        details = {"validation": kept, BY_COLUMN: alone}
        metrics = {"rmse": score, "val rmse": score}
        tuned = int(label == "tuned")
        seeds = {"planned": 1 + tuned, "stochastic": tuned}
        one = record(label, seed=seed, metrics=metrics, main_metric="rmse", details=details, seeds=seeds)
        records.append(replace(one, costs=Costs(flops=5e6, params_total=7, unit="molecule")))
    matrix = matrix_of(records, {}, "vtab")
    candidates, left_out = candidates_of(matrix, suite_info("vtab"))
    found = recommend(candidates, False, 4)
    said = sentences(found, matrix, OWN)
    assert not left_out and found.chosen.label == "linear_probe"
    own_units = "on the test part, each in its own unit: logS 1.000, mp unknown"
    assert said[3] == f"rmse is in standard deviations of each column; {own_units}"
    table = to_rich(lines_of(matrix, suite_info("vtab"), candidates), matrix, found.chosen.name)
    assert str(table.caption).startswith("rmse in standard deviations of each column; ")


def test_what_is_left_out_is_counted_and_the_first_are_named() -> None:
    data, rejected = about_data(OWN)
    assert data == "photos: images, 2 classes (cat, dog), 12 train, 4 val, 4 test"
    assert rejected.startswith("7 rows are in no part: cat/0.txt: no image; ") and rejected.endswith("; ...")
    (_, _, conflicts) = about_data(replace(OWN, conflicting=("rows 1, 41 (CCO)",)))
    assert conflicts.startswith("1 molecule stands in several rows with different values; all of them are used")
    assert conflicts.endswith("in one part: rows 1, 41 (CCO)")
