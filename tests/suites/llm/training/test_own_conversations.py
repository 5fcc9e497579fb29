"""The user's own conversations as a task: the answers alone have a loss, and every one of them has."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.data.own.conversations import OwnConversation
from sparsebench.reports.statistics import example_scores
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.instruction_tuning import InstructionTuning
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.tasks.own_conversations import OwnConversations
from sparsebench.suites.llm.training.own_conversations import pieces, read_conversations
from sparsebench.suites.llm.training.packing import IGNORED, Example
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.prediction.data import sample_rows
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row, TaskRow, chain_of

VARIABLE = "SPARSEBENCH_OWN_CONVERSATIONS"
PARTS = ("train", "train", "train", "val", "val", "test", "test")


def surroundings() -> Context:
    return Context(suite="llm", task="own_conversations", seed=0, budget=Budget(epochs=4, batch_size=2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven conversations of two answers, in parts of the user's."""
    lines = []
    for number, part in enumerate(PARTS):
        said = [("system", "Be brief."), ("user", f"Is {number} even?"), ("assistant", "é" * (number + 1))]
        said += [("user", "Sure?"), ("assistant", "Yes")]
        turns = [{"role": role, "content": content} for role, content in said]
        lines.append(json.dumps({"messages": turns, "split": part}))
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def by_hand(number: int) -> list[tuple[str, str]]:
    """What a model is asked with, and what it answers, in the plain form, twice."""
    first = f"System: Be brief.\n\nUser: Is {number} even?\n\nAssistant:"
    answer = " " + "é" * (number + 1)
    return [(first, answer), (f"{first}{answer}\n\nUser: Sure?\n\nAssistant:", " Yes")]


@torch.no_grad()
def nats(model: Any, prompt: str, answer: str) -> torch.Tensor:
    """Of each token of an answer and its end, by a forward pass over this text alone."""
    tokenizer = byte_tokenizer()
    before = tokenizer(prompt)["input_ids"]
    said = [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]
    logits = model(input_ids=torch.tensor([[*before, *said]])).logits[0, len(before) - 1 : -1]
    return nn.functional.cross_entropy(logits, torch.tensor(said), reduction="none")


def test_the_loss_is_that_of_answers_and_their_ends(folder: Path) -> None:
    """Neither what they answer to nor padding counts: rows are longer than what is in them."""
    setup = OwnConversations().setup(tiny.load, surroundings())
    rows = setup.data.train
    assert 0 < sum(map(len, rows)) < len(rows) * setup.data.length
    found = setup.context.loss(setup.model, setup.data.collate(rows))
    expected = torch.cat([nats(setup.model, *pair) for number in range(5) for pair in by_hand(number)])
    assert found.item() == pytest.approx(expected.mean().item(), rel=1e-5)
    assert [len(batch["input_ids"]) for batch in setup.context.batches()] == [len(rows)]


def test_a_score_is_bits_by_conversation_and_options_are_chosen_on_validation(folder: Path) -> None:
    before = OwnConversations().run([Dense()], tiny.load, surroundings())
    setup = OwnConversations().setup(tiny.load, surroundings())
    for place, number in enumerate((5, 6)):
        bits = sum(nats(setup.model, *pair).sum().item() for pair in by_hand(number)) / math.log(2)
        assert before.examples["bits"][place] == pytest.approx(bits, rel=1e-5)
    assert before.examples["bytes"] == [2 * 6 + 3, 2 * 7 + 3], "of the texts: neither the blank before nor the end"
    metric = before.metrics["bits_per_byte"]
    assert metric.value == pytest.approx(sum(before.examples["bits"]) / 32)
    assert example_scores("bits_per_byte", metric.value, before.examples) is not None
    task = OwnConversations()
    after = task.run([InstructionTuning(learning_rate=0.01)], tiny.load, surroundings())
    assert after.metrics["bits_per_byte"].value < metric.value - 1
    choice = after.details["choice"]
    best = min(choice["trials"], key=lambda trial: trial["score"])
    assert len(choice["trials"]) == 3 and best["options"] == choice["chosen"] == after.details["protocol"]["chosen"]
    assert after.metrics["val bits_per_byte"].value == best["score"]
    assert len(after.details["validation"]["bits"]) == 2 and after.details["protocol"]["rows"] == 5
    assert after.details["own data"] == {"train": 3, "val": 2, "test": 2, "rejected": 0}
    chosen = [InstructionTuning(**choice["chosen"])]
    again, _ = task.train_chosen(chosen, tiny.load, surroundings())
    assert again.metrics["bits_per_byte"] == after.metrics["bits_per_byte"]


def test_fewer_test_conversations_are_a_sample_and_not_the_first_of_the_file(folder: Path) -> None:
    file = folder / "mine.jsonl"
    *_, last = file.read_text().splitlines()
    file.write_text(f"{file.read_text()}\n{last.replace('Is 6', 'Is 7').replace('u00e9', 'u00e9u', 1)}")
    fewer = replace(surroundings(), budget=Budget(epochs=4, batch_size=2, test_examples=1))
    every = OwnConversations().run([Dense()], tiny.load, surroundings()).examples
    found = OwnConversations().run([Dense()], tiny.load, fewer).examples
    (row,) = sample_rows(3, 1)
    assert row and len(every["bits"]) == 3
    assert found == {name: [pytest.approx(values[row], rel=1e-5)] for name, values in every.items()}


def test_a_long_conversation_loses_nothing_of_its_answers() -> None:
    whole = Example("long", "conversations", tuple(range(30)), (*[IGNORED] * 7, *range(7, 30)))
    found = pieces(whole, 8)
    assert all(len(piece.ids) <= 8 for piece in found) and [piece.cut for piece in found] == [3, 7, 11, 15, 19, 22]
    assert [label for piece in found for label in piece.labels if label != IGNORED] == list(range(7, 30))
    for piece in found:
        assert all(label in (IGNORED, token) for token, label in zip(piece.ids, piece.labels, strict=True))
    assert pieces(whole, 30) == [whole]
    long = OwnConversation(1, (("user", "x" * 100), ("assistant", "y")))
    short = OwnConversation(2, (("user", "x"), ("assistant", "y")))
    assert read_conversations([long, short], byte_tokenizer(), 64).cut == 1


def test_a_changed_line_is_another_cell_and_without_a_folder_there_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = SuitePlan("llm", (Row(chain_of("dense")),), (TaskRow("own_conversations"),), ("tiny",))
    first = expand(Profile("own", (plan,)))[0]
    file = folder / "mine.jsonl"
    file.write_text(file.read_text().replace("Yes", "No"))
    second = expand(Profile("own", (plan,)))[0]
    assert first.code == second.code and first.key != second.key
    monkeypatch.delenv(VARIABLE)
    task = OwnConversations()
    task.check_data()
    with pytest.raises(NotApplicable, match=f"set {VARIABLE}"):
        task.run([Dense()], tiny.load, surroundings())
