"""Rows of text by group: windows, batches, choice of groups, what a loss is a mean of."""

import dataclasses

import pytest
import torch

from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.training.data import TextRows, count_tokens, first_of_each, text_windows
from sparsebench.suites.llm.training.packing import Example, pack

CPU = torch.device("cpu")


def windows(group: str, count: int = 3) -> list:
    text = "".join(chr(97 + place % 26) for place in range(8 * count))
    return text_windows(group, [text], byte_tokenizer(), 8, count)


def data(packed: bool = False) -> TextRows:
    if packed:
        ids = (1, 2, 3)
        train = pack([Example("x", "a", ids, ids), Example("y", "b", ids, (-100, -100, 3))], 8)
        return TextRows(train, (), 8, True, CPU)
    return TextRows([*windows("law"), *windows("code")], windows("law", 1), 8, False, CPU)


def test_windows_are_the_documents_joined_by_blank_lines() -> None:
    rows = text_windows("law", ["abcde", "fgh", "ijklm"], byte_tokenizer(), 4, 3)
    read = [byte_tokenizer().decode(row.examples[0].ids) for row in rows]
    assert read == ["abcd", "e\n\nf", "gh\n\n"]
    assert [row.group for row in rows] == ["law"] * 3
    assert rows[1].examples[0].learnt == 3


def test_no_more_documents_are_read_than_needed() -> None:
    def documents():
        yield "abcdefgh"
        raise AssertionError("read on")

    assert len(text_windows("law", documents(), byte_tokenizer(), 4, 2)) == 2


@pytest.mark.parametrize("documents", [[], ["abc"]])
def test_a_domain_without_text_is_named(documents: list[str]) -> None:
    with pytest.raises(ValueError, match=r"the text of 'law' has \d tokens, too few for one window of 4"):
        text_windows("law", documents, byte_tokenizer(), 4, 2)


def test_choice_of_groups() -> None:
    whole = data()
    assert whole.groups == ("law", "code") and whole.lengths is None
    code = whole.only(["code"])
    assert code.groups == ("code",) and len(code.train) == 3 and len(code.held_out) == 0
    assert whole.val.train == whole.held_out and len(whole.val.held_out) == 0
    with pytest.raises(ValueError, match=r"no group 'lav' in the training data; did you mean law"):
        whole.only(["lav"])
    with pytest.raises(ValueError, match="no group to train on; known: law, code"):
        whole.only([])


def test_batches_of_windows() -> None:
    batch = data().collate(data().train[2:4])
    assert set(batch) == {"input_ids", "labels", "groups"}
    assert batch["input_ids"].shape == (2, 8) and batch["groups"] == ("law", "code")
    assert data().weight(batch) == 14 and count_tokens(batch) == 16


def test_batches_of_packed_rows() -> None:
    packed = data(packed=True)
    batch = packed.collate(packed.train)
    assert packed.weight(batch) == 3 and count_tokens(batch) == 6
    assert batch["sequence_ids"].shape == (2, 8)


def test_the_fingerprint_says_which_tokens_these_are() -> None:
    whole = data()
    assert whole.fingerprint() == data().fingerprint()
    assert whole.fingerprint() != dataclasses.replace(whole, train=whole.train[::-1]).fingerprint()
    assert whole.fingerprint().startswith("6 rows of 8 tokens, sha256 ")


def test_first_of_each() -> None:
    assert [row.group for row in first_of_each(data().train, 2)] == ["law", "law", "code", "code"]
