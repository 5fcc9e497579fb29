"""What is said of two folders, to people and to programs."""

import json
from pathlib import Path

from sparsebench.suites.runner.verification.two_folders import compare_folders
from sparsebench.suites.runner.verification.two_folders_text import CompareFoldersDocument, to_document, to_text

from ..test_documents import check
from .two import record, two_folders, write


def test_a_line_for_each_cell_that_is_not_equal_and_the_counts(tmp_path: Path) -> None:
    first, second = two_folders(tmp_path)
    *lines, total = to_text(compare_folders(first, second, ["llm"])).splitlines()
    told = {line.split(":")[0]: line for line in lines if not line.startswith("only")}
    assert told.keys() == {"printed", "within", "beyond", "status", "other"}
    assert "printed on tiny, seed 0: accuracy 60.0 and 60.0, +1e-07 points" in told["printed"]
    assert "60.0 and 61.0, +1 points, within [58.0, 62.0] (95 % over the paired" in told["within"]
    assert told["beyond"].endswith("-20 points, beyond [52.0, 68.0] (95 % over the paired differences of 100 examples)")
    assert any("alone on tiny, seed 0: accuracy 60.0 and 61.0, +1 points (no interval is" in line for line in lines)
    assert told["status"].endswith("ok | failed: KeyError: 'x'")
    assert told["other"].endswith("accuracy 90.0 and 80.0, -10 points; other budget")
    assert [line for line in lines if line.startswith("only")] == [
        f"only in {first}: llm digits mine on tiny, seeds 0, 1",
        f"only in {second}: llm digits yours on tiny, seed 0",
    ]
    assert total == (
        "In both folders: 8 cells, 1 to the last digit, 1 as printed, 1 within the interval, 2 beyond it, 1 with "
        "another status, 1 without a score in both, 1 of the same names, but of other cells. "
        f"Only in {first}: 2. Only in {second}: 1."
    )


def test_folders_that_are_equal_are_one_line(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, [record("row", 0.6)], {}) for name in "ab"]
    text = to_text(compare_folders(folders[0], folders[1], ["llm"]))
    assert text.startswith("In both folders: 1 cell, 1 to the last digit. Only in ") and "\n" not in text


def test_programs_get_every_cell_and_score(tmp_path: Path) -> None:
    document = to_document(compare_folders(*two_folders(tmp_path), ["llm"]))
    check(document, CompareFoldersDocument)
    assert json.loads(json.dumps(document)) == document
    pairs = {pair["first"]["label"]: pair for pair in document["pairs"]}
    (score,) = pairs["exact"]["scores"]
    assert (score["outcome"], score["first"], score["second"], score["low"]) == ("exact", 0.6, 0.6, None)
    assert pairs["no score"]["scores"] == [] and document["counts"]["no score"] == 1
    assert [one["seed"] for one in document["only_first"]] == [0, 1]
