"""Which cells two folders share, and how far apart their scores are."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.store_errors import StoreError
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.verification.two_folders import Pair, compare_folders

from .two import RIGHT, record, two_folders, write

SUITES = ("llm", "vtab")


def by_label(pairs: list[Pair]) -> dict[str, Pair]:
    return {pair.first.cell.label: pair for pair in pairs}


def test_each_outcome(tmp_path: Path) -> None:
    found = compare_folders(*two_folders(tmp_path), SUITES)
    pairs = by_label(list(found.pairs))
    assert {label: pair.outcome for label, pair in pairs.items()} == {
        label: label for label in ("exact", "printed", "within", "beyond", "status", "no score", "other")
    } | {"alone": "beyond"}
    assert [one.cell.label for one in found.only_first] == ["mine", "mine"]
    assert [one.cell.label for one in found.only_second] == ["yours"]
    assert found.counts["beyond"] == 2 and not found.problems
    assert pairs["other"].reason == "other budget" and pairs["status"].reason == "ok | failed: KeyError: 'x'"
    (score,) = pairs["within"].scores
    assert score.check.low is not None and score.check.high is not None
    assert score.check.low < 0.61 < score.check.high and "100 examples" in score.check.basis
    assert "no interval is stated" in pairs["alone"].scores[0].check.basis


def test_without_examples_one_more_seed_of_the_row_decides(tmp_path: Path) -> None:
    values = (0.50, 0.52, 0.48)
    first = write(tmp_path / "a", [record("row", value, seed) for seed, value in enumerate(values)], {})
    second = write(tmp_path / "b", [record("row", 0.51), record("row", 0.7, 1)], {})
    found = compare_folders(first, second, SUITES)
    assert [pair.outcome for pair in found.pairs] == ["within", "beyond"]
    assert "by the 3 seeds of its row" in found.pairs[0].scores[0].check.basis
    assert [one.cell.seed for one in found.only_first] == [2]


def test_examples_behind_an_equal_score(tmp_path: Path) -> None:
    first = write(tmp_path / "a", [record("row", 0.6)], {"row-0": RIGHT})
    second = write(tmp_path / "b", [record("row", 0.6)], {"row-0": RIGHT[::-1]})
    (pair,) = compare_folders(first, second, SUITES).pairs
    assert (pair.outcome, pair.reason) == ("exact", "other outcomes of examples: accuracy")
    (second / "examples" / "row-0.json.gz").write_bytes(b"cut")
    found = compare_folders(first, second, SUITES)
    assert "compared without its examples: examples of row-0 cannot be read" in found.problems[0]


def test_names_that_stand_for_several_cells_are_not_paired(tmp_path: Path) -> None:
    """Two trainings of one row, a short one and a long one, have one name."""
    short = record("row", 0.6)
    long = replace(short, id="long", key="long", cell=replace(short.cell, budget={"tokens": 9}))
    third = replace(short, id="third", key="third", cell=replace(short.cell, budget={"tokens": 5}))
    found = compare_folders(write(tmp_path / "a", [short, long], {}), write(tmp_path / "b", [third], {}), SUITES)
    assert (len(found.pairs), len(found.only_first), len(found.only_second)) == (0, 2, 1)


def test_data_and_weights_are_no_part_of_the_description(tmp_path: Path) -> None:
    here, there = record("row", 0.6), record("row", 0.7, key="k2", id="i2")
    (pair,) = compare_folders(write(tmp_path / "a", [here], {}), write(tmp_path / "b", [there], {}), SUITES).pairs
    assert (pair.outcome, pair.reason) == ("other", "other data or weights")


def test_what_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [record("row", 0.6)], {})
    with pytest.raises(UsageError, match="are one folder"):
        compare_folders(folder, tmp_path / "b" / ".." / "a", SUITES)
    with pytest.raises(StoreError, match="no results in"):
        compare_folders(folder, tmp_path, SUITES)
    with pytest.raises(UsageError, match="no readable record of vtab"):
        compare_folders(folder, write(tmp_path / "b", [record("row", 0.6)], {}), ["vtab"])
