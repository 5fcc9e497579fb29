"""Groups by what a text says: clusters of a toy encoder, the held-out part, and mean embeddings by group."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.training.data import TextRows
from sparsebench.suites.llm.training.packing import Example, Row, pack
from sparsebench.suites.llm.training.sentence_groups import by_sentences, embeddings, group_vectors

TOKENIZER = byte_tokenizer()


class Letters(torch.nn.Module):
    """Embeds a text by how often it has a, b and c; longer texts come in other batches."""

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        return [torch.tensor([[ord(letter), 0] for letter in text]) for text in raw]

    def collate(self, items: list[Tensor]) -> list[Tensor]:
        return items

    def forward(self, items: list[Tensor]) -> Tensor:
        return torch.stack([torch.stack([(item[:, 0] == ord(c)).sum() for c in "abc"]) for item in items]).float()


LETTERS: Any = Letters()


def example(text: str, group: str) -> Example:
    ids = tuple(TOKENIZER(text, add_special_tokens=False)["input_ids"])
    return Example(text, group, ids, ids)


def data(train: dict[str, list[str]], held_out: list[str], packed: bool = True, length: int = 16) -> TextRows:
    examples = [example(text, group) for group, texts in train.items() for text in texts]
    others = [example(text, "x") for text in held_out]
    rows = pack(examples, length) if packed else [Row(one.group, (one,)) for one in examples]
    held = pack(others, length) if packed else [Row(one.group, (one,)) for one in others]
    return TextRows(rows, held, length, packed, torch.device("cpu"), tokenizer=TOKENIZER)


MIXED = {"x": ["aaab", "bbbba", "aaaaa"], "y": ["bbbb", "aaaac", "bbbbbc"]}


def texts(rows: Sequence[Row]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.group, set()).update(one.name for one in row.examples)
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_texts_that_are_alike_are_one_group_wherever_they_come_from(packed: bool) -> None:
    parted = by_sentences(data(MIXED, ["ab" + "a" * 5, "bb"], packed), LETTERS, 2, seed=0)
    found = texts(parted.train)
    assert sorted(map(sorted, found.values())) == [["aaaaa", "aaaac", "aaab"], ["bbbb", "bbbba", "bbbbbc"]]
    assert set(found) == {"cluster 1", "cluster 2"} == set(texts(parted.held_out))
    for group, held in texts(parted.held_out).items():
        assert {name[-1] for name in held} <= {name[0] for name in found[group]}
    assert all(len({one.group for one in row.examples}) == 1 for row in parted.train)
    assert sum(len(row.examples) for row in parted.train) == 6
    assert packed == any(len(row.examples) > 1 for row in parted.train)


def test_a_cluster_without_held_out_examples_holds_some_out() -> None:
    parted = by_sentences(data(MIXED, ["aaaa"]), LETTERS, 2, seed=0)
    train, held = texts(parted.train), texts(parted.held_out)
    assert set(train) == set(held)
    trained, kept = set().union(*train.values()), set().union(*held.values())
    assert (
        len(trained) == 5
        and len(kept) == 2
        and not trained & kept
        and trained | kept
        == {
            *MIXED["x"],
            *MIXED["y"],
            "aaaa",
        }
    )


def test_clusters_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="clusters=7 must lie from 2 to 6"):
        by_sentences(data(MIXED, []), LETTERS, 7, seed=0)
    with pytest.raises(ValueError, match="single example and none to hold out"):
        by_sentences(data({"x": ["aaa", "aab", "ccc"]}, ["aa"]), LETTERS, 2, seed=0)


def test_embeddings_have_unit_length_in_the_order_of_the_texts() -> None:
    rows = data(MIXED, [])
    found = embeddings(rows, [example("cc", "x"), example("aaaabbb", "x"), example("bb", "x")], LETTERS)
    np.testing.assert_allclose(found, [[0, 0, 1], [0.8, 0.6, 0], [0, 1, 0]], atol=1e-7)
    means = group_vectors(rows, LETTERS)
    assert set(means) == {"x", "y"} and means["x"][0] > means["x"][1] and means["y"][1] > means["y"][0]


def test_text_of_rows_without_a_tokenizer_cannot_be_had() -> None:
    rows = data(MIXED, [])
    assert rows.text(example("aé b", "x")) == "aé b"
    with pytest.raises(ValueError, match="without their tokenizer"):
        TextRows(rows.train, (), 16, True, rows.device).text(example("aa", "x"))
