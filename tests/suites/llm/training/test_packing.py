"""Rows are full, hold everything once, and say which token is whose."""

import random

import pytest
import torch

from sparsebench.suites.llm.training.packing import IGNORED, PADDING, Example, best_fit, collate, fitted, pack

CPU = torch.device("cpu")


def example(size: int, name: str = "one", group: str = "a", first: int = 1) -> Example:
    ids = tuple(range(first, first + size))
    return Example(name, group, ids, ids)


def test_every_example_is_in_one_row_and_rows_are_nearly_full() -> None:
    sizes = random.Random(0).choices(range(2, 60), k=400)
    examples = [example(size, name=str(number)) for number, size in enumerate(sizes)]
    rows = pack(examples, 64)
    packed = [member.name for row in rows for member in row.examples]
    assert sorted(packed) == sorted(one.name for one in examples)
    assert max(len(row) for row in rows) <= 64
    assert len(rows) <= 1.02 * sum(sizes) / 64 + 1
    assert rows == pack(examples, 64)


def test_best_fit_by_a_slow_search() -> None:
    sizes = random.Random(1).choices(range(1, 20), k=80)
    bins: list[list[int]] = []
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        rooms = [20 - sum(sizes[other] for other in members) for members in bins]
        fitting = [number for number, room in enumerate(rooms) if room >= sizes[place]]
        if fitting:
            bins[min(fitting, key=lambda number: (rooms[number], number))].append(place)
        else:
            bins.append([place])
    assert best_fit(sizes, 20) == bins


def test_a_row_holds_one_group() -> None:
    rows = pack([example(3, "x", "b"), example(3, "y", "a"), example(3, "z", "b")], 64)
    assert [(row.group, [one.name for one in row.examples]) for row in rows] == [("b", ["x", "z"]), ("a", ["y"])]


def test_an_example_that_is_longer_than_a_row_is_named_or_cut() -> None:
    with pytest.raises(ValueError, match=r"poem 7 has 9 tokens, and a row has 8: take longer rows, or longer='cut'"):
        pack([example(9, "poem 7")], 8)
    (row,) = pack([example(9, "poem 7")], 8, longer="cut")
    (cut,) = row.examples
    assert cut.ids == tuple(range(2, 10)) and cut.cut == 1
    assert cut.labels == (IGNORED, *range(3, 10))
    assert fitted(example(8), 8, "error") == example(8)


def test_the_first_token_has_no_label_and_one_has_to_have_some() -> None:
    assert example(3).labels == (IGNORED, 2, 3) and example(3).learnt == 2
    with pytest.raises(ValueError, match="lonely has no token to learn: all of its 1 tokens are context"):
        example(1, "lonely")
    with pytest.raises(ValueError, match="2 tokens and 1 labels"):
        Example("odd", "a", (1, 2), (1,))


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_batch_by_hand(side: str) -> None:
    (row,) = pack([example(3), example(2, first=11)], 7)
    batch = collate([row], 7, CPU, side=side)  # type: ignore[arg-type]
    tokens = [1, 2, 3, 11, 12]
    labels = [IGNORED, 2, 3, IGNORED, 12]

    def padded(values: list[int], filler: int) -> list[int]:
        padding = [filler] * 2
        return [*values, *padding] if side == "right" else [*padding, *values]

    assert batch["input_ids"].tolist() == [padded(tokens, 0)]
    assert batch["labels"].tolist() == [padded(labels, IGNORED)]
    assert batch["position_ids"].tolist() == [padded([0, 1, 2, 0, 1], 0)]
    assert batch["sequence_ids"].tolist() == [padded([0, 0, 0, 1, 1], PADDING)]
    assert batch["groups"] == ("a",)
