"""The tokenizer of a GGUF file."""

import dataclasses
from pathlib import Path

import pytest

from sparsebench.data import weights
from sparsebench.data.errors import WeightsError
from sparsebench.data.gguf_llama import Head, read_head, tokenizer


@pytest.fixture
def head(tiny_gguf: Path) -> Head:
    return read_head(tiny_gguf)


def changed(head: Head, **values) -> Head:
    named = {f"tokenizer.ggml.{key}": value for key, value in values.items()}
    return dataclasses.replace(head, values=head.values | named)


def test_merges_are_applied(head: Head):
    found = tokenizer(head)
    assert found.convert_ids_to_tokens(found("abcdh").input_ids) == ["abcd", "h"]
    assert found.eos_token == "<|end|>"


def test_what_does_not_belong_together(head: Head):
    tokens = head.values["tokenizer.ggml.tokens"]
    cases = {
        "only 'gpt2' is known": {"model": "llama"},
        "only 'smollm' is known": {"pre": "default"},
        "12 tokens, 11 of them different, for a vocabulary of 12": {"tokens": [*tokens[:-1], "a"]},
        "11 tokens": {"tokens": tokens[:-1]},
        "tokenizer.ggml.tokens is not a list of str": {"tokens": [1, *tokens[1:]]},
        "token_type is not 12 numbers from 1 to 6": {"token_type": [9] * 12},
        "the merge 'a x' is not of two tokens": {"merges": ["a x"]},
        "the merge 'ab' is not": {"merges": ["ab"]},
        "bos_token_id is 12: not a number from 0 to 11": {"bos_token_id": 12},
        "padding_token_id is -1": {"padding_token_id": -1},
        "unknown_token_id is True": {"unknown_token_id": True},
    }
    for message, values in cases.items():
        with pytest.raises(WeightsError, match=f"^tiny.gguf: .*{message}"):
            tokenizer(changed(head, **values))


@pytest.mark.data
def test_smollm2_tokenizer():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights.smollm2())
    sample = "Héllo wörld 12345 don't   \n\n\tstop, 漢字 😀 I'll can’t  x2y3"
    ids = tokenizer(sample).input_ids
    assert tokenizer.decode(ids) == sample
    assert sum(tokenizer.decode([index]).isdigit() for index in ids) == 7  # one token per digit
    special = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert special == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert chat.endswith("<|im_start|>user\nhi<|im_end|>\n")
    assert tokenizer(chat).input_ids.count(tokenizer.eos_token_id) == 2  # control tokens are read as such
