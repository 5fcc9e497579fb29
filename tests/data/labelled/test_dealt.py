"""Parts: by class and content, whatever the order of the rows; those of the user's stay."""

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.labelled.dealt import complete, deal, is_split, named_parts

LABELS = ["a"] * 10 + ["b"] * 5 + ["c"] * 3
KEYS = [f"row {number}" for number in range(18)]


def test_each_class_gives_a_fifth_and_one_at_least() -> None:
    parts = deal(LABELS, KEYS, "file")
    counts = {(label, part): 0 for label in "abc" for part in ("train", "val", "test")}
    for label, part in zip(LABELS, parts, strict=True):
        counts[label, part] += 1
    assert [counts["a", part] for part in ("train", "val", "test")] == [6, 2, 2]
    assert [counts[label, part] for label in "bc" for part in ("train", "val", "test")] == [3, 1, 1, 1, 1, 1]


def test_the_order_of_the_rows_changes_nothing() -> None:
    parts = dict(zip(KEYS, deal(LABELS, KEYS, "file"), strict=True))
    assert deal(LABELS[::-1], KEYS[::-1], "file") == [parts[key] for key in KEYS[::-1]]


def test_a_class_too_small_for_three_parts_is_named() -> None:
    with pytest.raises(TableError, match="class 'd' has 2 of the 3"):
        deal([*LABELS, "d", "d"], [*KEYS, "x", "y"], "file")


def test_parts_of_the_user_s_stay_and_the_missing_one_is_cut_from_training() -> None:
    named = named_parts(["Train"] * 15 + ["TEST"] * 3, "file")
    parts = complete(named, LABELS, KEYS, "file")
    assert parts[15:] == ["test"] * 3
    assert sorted(part for part in parts[:15] if part == "val") == ["val"] * 3  # two of a, one of b
    assert complete(parts, LABELS, KEYS, "file") == parts
    with pytest.raises(TableError, match="row 2: 'fold1' is no part"):
        named_parts(["train", "fold1"], "file")
    assert is_split(["train", "dev"]) and not is_split(["test", "val"]) and not is_split(["train", "3"])
    assert is_split(["train", "Test", "", "val"]), "one row without a part is a mistake, and no other meaning"
