"""Equality of texts and parts that share none."""

import numpy as np
import pytest

from sparsebench.data.labelled.table import (
    LabelledTexts,
    Parts,
    distinct,
    grouped_parts,
    hashed_parts,
    labelled,
    normal_form,
    official_parts,
)


def table(count: int, offset: int = 0) -> LabelledTexts:
    return labelled([f"Text {i}" for i in range(offset, offset + count)], [("b", "a")[i % 2] for i in range(count)])


def forms(part: LabelledTexts) -> set[str]:
    return {normal_form(text) for text in part.texts}


def check_apart(parts: Parts) -> None:
    train, val, test = map(forms, (parts.train, parts.val, parts.test))
    assert not train & val and not train & test and not val & test


def test_normal_form() -> None:
    assert normal_form(" A  b\tC\n") == "a b c"
    assert normal_form(("A", "b  C")) == "a\nb c" != normal_form("A b C")


def test_classes_are_numbered_by_the_alphabet() -> None:
    found = table(3)
    assert found.classes == ("a", "b") and found.targets.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="1 texts, but 2 targets"):
        LabelledTexts(texts=("a",), targets=np.zeros(2))


def test_repeated_texts_count_once_and_contradictory_ones_not_at_all() -> None:
    found = distinct(labelled(["One", "one ", "Two", "two", "three"], ["x", "x", "x", "y", "y"]))
    assert found.texts == ("One", "three") and found.targets.tolist() == [0, 1]
    scores = LabelledTexts(texts=("a", "A", "b", "B"), targets=np.array([[1.0], [1.0], [2.0], [2.5]]))
    assert distinct(scores).texts == ("a",)


def test_hashed_parts_do_not_depend_on_the_order_of_the_rows() -> None:
    parts = hashed_parts(table(50), val=5, test=10)
    assert (len(parts.train), len(parts.val), len(parts.test)) == (35, 5, 10)
    check_apart(parts)
    shuffled = table(50).take(np.random.default_rng(0).permutation(50).tolist())
    again = hashed_parts(shuffled, val=5, test=10)
    for one, other in ((parts.train, again.train), (parts.val, again.val), (parts.test, again.test)):
        assert one.texts == other.texts and np.array_equal(one.targets, other.targets)


def test_a_smaller_training_part_is_the_beginning_of_the_whole_one() -> None:
    whole, capped = (hashed_parts(table(50), val=5, test=10, train=n) for n in (None, 8))
    assert capped.train.texts == whole.train.texts[:8]
    assert capped.test.texts == whole.test.texts


def test_parts_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="leave none of 15"):
        hashed_parts(table(15), val=5, test=10)


def test_an_official_test_part_stays_whole_and_leaves_the_training_part() -> None:
    test = labelled(["TEXT 3", "text  4", "new", "new"], ["a", "b", "a", "a"])
    parts = official_parts(table(20), test, val=4)
    assert sorted(parts.test.texts) == sorted(test.texts)
    assert (len(parts.train), len(parts.val)) == (14, 4)
    check_apart(parts)


def pairs(questions: int, clauses: int) -> LabelledTexts:
    texts = [(f"Question {q}?", f"Clause {c}.") for q in range(questions) for c in range(clauses)]
    return labelled(texts, [("yes", "no")[(q + c) % 2] for q in range(questions) for c in range(clauses)])


def test_grouped_parts_have_each_first_text_in_one_part_alone() -> None:
    parts = grouped_parts(pairs(12, 4), val=5, test=10)
    first = [{normal_form(one) for one, _ in part.texts} for part in (parts.train, parts.val, parts.test)]
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [28, 8, 12], "whole questions, and no more"
    assert [len(part) for part in first] == [7, 2, 3] and len(set().union(*first)) == 12
    shuffled = pairs(12, 4).take(np.random.default_rng(0).permutation(48).tolist())
    again = grouped_parts(shuffled, val=5, test=10, train=20)
    assert again.test.texts == parts.test.texts and again.val.texts == parts.val.texts
    assert again.train.texts == parts.train.texts[:20] and len({one for one, _ in again.train.texts}) > 5


def test_grouped_parts_leave_something_to_train_on() -> None:
    with pytest.raises(ValueError, match="5 \\+ 10 validation and test pairs leave none of 16"):
        grouped_parts(pairs(4, 4), val=5, test=10)
