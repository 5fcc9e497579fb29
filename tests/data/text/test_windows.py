"""Windows of tokens, and the bytes they stand for."""

import pytest

from sparsebench.data.text.documents import passages
from sparsebench.data.text.windows import numbered_windows, token_bytes, windows


def test_windows_join_and_cut():
    found = windows(iter([[1, 2, 3], [4, 5], [6, 7, 8, 9]]), length=4, count=2, separator=[0])
    assert found == [[1, 2, 3, 0], [4, 5, 0, 6]]


def test_a_window_is_of_the_document_that_most_of_it_is_of():
    documents = [(3, [1] * 6), (3, [1] * 3), (5, [2] * 2), (8, [3] * 9)]
    found, numbers = numbered_windows(iter(documents), length=5, count=4)
    assert found[2] == [2, 3, 3, 3, 3]
    assert numbers == [3, 3, 8, 8]
    assert numbered_windows([(1, [1]), (2, [2])], length=2, count=1) == ([[1, 2]], [1]), "of equals the first"


def test_windows_stop_reading_early():
    def endless():
        while True:
            yield [1, 2]

    assert windows(endless(), length=3, count=5) == [[1, 2, 1], [2, 1, 2]] * 2 + [[1, 2, 1]]


def test_windows_need_enough_tokens():
    with pytest.raises(ValueError, match="3 tokens are too few for 2 windows of 2"):
        windows([[1, 2, 3]], length=2, count=2)


@pytest.mark.data
def test_token_bytes_is_exact():
    from transformers import AutoTokenizer

    from sparsebench.data.weights import smollm2

    tokenizer = AutoTokenizer.from_pretrained(smollm2())
    sample = "Héllo 漢字 😀\n\n\tdef f(x): return 42 don't"
    assert token_bytes(tokenizer, tokenizer(sample).input_ids) == len(sample.encode())
    documents = passages("drama", "test")[:20]
    ids = [tokenizer(document).input_ids for document in documents]
    (window,) = windows(ids, length=2000, count=1, separator=tokenizer("\n\n").input_ids)
    decoded = tokenizer.decode(window)
    assert "\n\n".join(documents).startswith(decoded)
    assert token_bytes(tokenizer, window) == len(decoded.encode())
