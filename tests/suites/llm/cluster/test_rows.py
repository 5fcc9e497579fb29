"""Rows of text and of packed conversations, as `Trainer` takes them."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from sparsebench.suites.llm.cluster.rows import ConversationRows, TextRows, isolate, stacked, turns
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

from .tiny import dense, write_conversations, write_texts


def test_text_rows_are_windows_in_the_shares_of_their_domains(tmp_path: Path) -> None:
    write_texts(tmp_path)
    rows = TextRows(tmp_path, byte_tokenizer(), 32, {"news": 0.75, "recipes": 0.25})
    first = list(islice(rows, 20))
    again = list(islice(rows, 20))
    news = 0
    for row, other in zip(first, again, strict=True):
        assert row["input_ids"].shape == (32,)
        assert torch.equal(row["input_ids"], row["labels"])
        assert torch.equal(row["input_ids"], other["input_ids"])
        news += "news" in byte_tokenizer().decode(row["input_ids"])
    assert news == 15


def test_each_answer_is_an_example(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "3 + 3?"},
        {"role": "assistant", "content": "6"},
    ]
    file.write_text(json.dumps({"messages": messages}) + "\n\n")
    found = list(turns(file))
    assert [turn.answer for turn in found] == ["4", "6"]
    assert found[1].messages == tuple((message["role"], message["content"]) for message in messages[:4])
    assert found[0].name == f"{file}, line 1"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"some.jsonl, line 2: not \{\"messages\""),
        ('{"text": "a"}', r"line 2: not .*KeyError"),
        ('{"messages": [{"role": "user", "content": "a"}]}', r"line 2: no message of the role 'assistant'"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', r"line 2: no message of the role 'assistant'"),
    ],
)
def test_other_lines_have_their_place(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "some.jsonl"
    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    file.write_text(f"{json.dumps(good)}\n{line}\n")
    with pytest.raises(ValueError, match=message):
        list(turns(file))
    with pytest.raises(ValueError, match=r"has no \.jsonl file"):
        next(iter(ConversationRows(tmp_path / "none", byte_tokenizer(), 32)))


def test_the_loss_of_packed_rows_is_that_of_their_answers_alone(tmp_path: Path) -> None:
    """In one row with others, behind the mask that the model makes of it, or by itself."""
    write_conversations(tmp_path)
    rows = ConversationRows(tmp_path, byte_tokenizer(), 128)
    batch = stacked(list(islice(rows, 3)))
    assert int(batch["sequence_ids"].max()) >= 1
    model: Any = LlamaForCausalLM(dense()).eval()
    alone = []
    for row in range(3):
        for sequence in range(int(batch["sequence_ids"][row].max()) + 1):
            where = batch["sequence_ids"][row] == sequence
            ids = batch["input_ids"][row][where][None]
            labels = batch["labels"][row][where][None]
            logits = model(input_ids=ids).logits[0, :-1]
            alone.append(torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum"))
    model.register_forward_pre_hook(isolate, with_kwargs=True)
    count = (batch["labels"][:, 1:] != -100).sum()
    with torch.no_grad():
        found = model(**batch, num_items_in_batch=count).loss
    torch.testing.assert_close(found, sum(alone) / count, rtol=1e-5, atol=1e-6)


def test_longer_examples_are_cut_and_counted(tmp_path: Path) -> None:
    write_conversations(tmp_path)
    rows = ConversationRows(tmp_path, byte_tokenizer(), 24)
    next(iter(rows))
    assert rows.cut > 0
