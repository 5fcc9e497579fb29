"""A row that was fitted on conversations: saved as every other one (`saved.py`), and asked.

`save_answers` opens what it wrote and compares the bits of some answers, to the last digit. A new conversation with
answers is scored as the test part was; one that ends with a turn of the user's is answered, by the likeliest token each
time, up to `MOST_NEW` tokens, after as much of it as the model then has room for.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sparsebench.data.errors import reason_of
from sparsebench.data.labelled.dealt import Part
from sparsebench.data.own.conversations import (
    SUFFIXES,
    Line,
    OwnConversation,
    OwnConversations,
    is_conversations,
    lines_of,
)
from sparsebench.data.text.windows import Tokenizer
from sparsebench.models.evaluation import evaluation_mode

from ...contracts.budget import Budget
from ...contracts.context import Context
from ...llm.training.chat import asked
from ...llm.training.data import TextRows
from ...llm.training.own_conversations import (
    GROUP,
    Asked,
    ConversationStage,
    Read,
    answer_bits,
    read_conversations,
)
from ...llm.training.task import TrainedLM, reads
from ..errors import UsageError
from .saved import Description, read_description, rebuilt, write

MOST_NEW = 128
"""Tokens of an answer that is written."""
BUDGET = Budget(epochs=1, batch_size=4)
STAND_IN = "."
"""An answer in the place of the one that is to come, for templates."""


@dataclass(frozen=True)
class Answering:
    """A fitted row that answers."""

    about: Description
    lm: TrainedLM

    def bits(self, conversations: Sequence[OwnConversation]) -> list[float]:
        """Of the answers of each. Raises ValueError for a conversation that the chat template refuses."""
        context = Context(suite="llm", task=GROUP, seed=0, budget=BUDGET)
        with evaluation_mode(self.lm.model):
            examples = read_conversations(conversations, self.lm.tokenizer, self.lm.data.length).examples
            return answer_bits(self.lm, examples, context)

    def answer(self, one: OwnConversation) -> tuple[str, bool, int]:
        """What the model writes next, whether it ended, and how many tokens of the beginning it could not read.

        Raises ValueError for a conversation that the chat template refuses.
        """
        tokenizer = self.lm.tokenizer
        ids, ends = asked(Asked(GROUP, f"line {one.line}", one.turns, STAND_IN), tokenizer, one.line)
        length = self.lm.data.length
        most = min(MOST_NEW, length // 2)
        kept = ids[most - length :]
        marks = [ends] if ends else []
        if tokenizer.eos_token_id is not None:
            marks.append([tokenizer.eos_token_id])
        with evaluation_mode(self.lm.model):
            new, ended = greedy(self.lm.model, kept, most, marks)
        return tokenizer.decode(new, skip_special_tokens=True).strip(), ended, len(ids) - len(kept)


@torch.inference_mode()
def greedy(model: Any, ids: Sequence[int], most: int, marks: Sequence[Sequence[int]]) -> tuple[list[int], bool]:
    """The likeliest token each time, up to one of the marks.

    Args:
        model: a causal LM in eval mode.
        ids: tokens before.
        most: tokens that are written at most.
        marks: each of them, a run of tokens, ends the text.

    Returns:
        The tokens without the mark, and whether one came.
    """
    from transformers import DynamicCache

    named = inspect.signature(type(model).forward).parameters
    memory = {"cache" if "cache" in named else "past_key_values": DynamicCache(config=model.config)}
    new: list[int] = []
    step = torch.tensor([list(ids)])
    for _ in range(most):
        step = model(input_ids=step, use_cache=True, **memory).logits[:, -1:].argmax(-1)
        new.append(int(step))
        for mark in marks:
            if new[-len(mark) :] == list(mark):
                return new[: -len(mark)], True
    return new, False


def save_answers(about: Description, subject: TrainedLM, probes: Sequence[OwnConversation], folder: Path) -> None:
    """Write a fitted row into a folder that is there.

    Args:
        about: what it is.
        subject: the trained model.
        probes: conversations on whose answers the model and what is read back must agree.
        folder: where to.

    Raises:
        UsageError: what is read back is another model.
    """
    write(about, subject.model, folder)
    data = replace(subject.data, device=torch.device("cpu"))
    expected = Answering(about, replace(subject, data=data)).bits(probes)
    found = open_answering(folder).bits(probes)
    if found != expected:
        furthest = max(abs(one - other) for one, other in zip(found, expected, strict=True))
        raise UsageError(f"{about.cell['label']}: what was saved gives other answers (up to {furthest:.3g} bits apart)")


def open_answering(folder: Path) -> Answering:
    """A fitted row as `save_answers` wrote it. Raises `UsageError` for a folder without one or that does not fit."""
    about = read_description(folder)
    model, backbone = rebuilt(about, _MadeUp(), folder)
    length = int(min(ConversationStage.window, reads(backbone)))
    data = TextRows([], [], length, ConversationStage.packed, torch.device("cpu"), tokenizer=backbone.tokenizer)
    return Answering(about, TrainedLM(model, backbone.tokenizer, data))


class _MadeUp(ConversationStage):
    """The task on two made-up conversations, for methods that look at data while they prepare a model."""

    def missing(self) -> None:
        """They are here."""
        return

    def data(self) -> OwnConversations:
        """Two conversations in each part."""
        found = tuple(
            OwnConversation(line, (("user", f"Say {word}."), ("assistant", f"This is {word}.")))
            for line, word in enumerate(("yes", "no", "one", "two", "red", "blue"), start=1)
        )
        return OwnConversations(found, ("train", "train", "val", "val", "test", "test"), (), "")

    def read(self, parts: tuple[Part, ...], tokenizer: Tokenizer, length: int) -> Read:
        """As of the user's."""
        return read_conversations(self.parts(*parts), tokenizer, length)


def predict_answers(fitted: Path, data: Path) -> pd.DataFrame:
    """What a fitted row says of new conversations.

    Args:
        fitted: the folder that `fit` made.
        data: a file of conversations.

    Returns:
        A row for each line that is not blank, in order: `line`, `asked` (the last turn of the user's), `status` (ok,
        unreadable, refused), `reason`, `answers` (how many it has), `bits_per_byte` of them, `answer` where the last
        turn is the user's, and `ended` (whether it ended within `MOST_NEW` tokens).

    Raises:
        UsageError: no fitted row, no such file, another form.
        DataError: a file that cannot be read.
    """
    if not data.is_file() or not is_conversations(data):
        raise UsageError(f"{data}: give a file of conversations ({', '.join(SUFFIXES)})")
    model = open_answering(fitted)
    rows = [_row(model, line) for line in lines_of(data)]
    if not rows:
        raise UsageError(f"{data} has no line")
    return pd.DataFrame(rows)


def _row(model: Answering, line: Line) -> dict[str, Any]:
    """One line of the result."""
    row: dict[str, Any] = {"line": line.number, "asked": "", "status": "ok", "reason": "", "answers": 0}
    row |= {"bits_per_byte": None, "answer": "", "ended": None}
    one = line.conversation
    if one is None:
        return row | {"status": "unreadable", "reason": line.reason}
    row["asked"] = next((text for role, text in reversed(one.turns) if role == "user"), "")
    row["answers"] = len(one.answers)
    waits = one.turns[-1][0] == "user"
    if not waits and not one.answers:
        return row | {"status": "refused", "reason": "it has no answer, and its last turn is not the user's"}
    try:
        if one.answers:
            (bits,) = model.bits([one])
            row["bits_per_byte"] = bits / one.answer_bytes
        if waits:
            row["answer"], row["ended"], cut = model.answer(one)
            row["reason"] = f"the first {cut} tokens are more than the model reads" if cut else ""
    except ValueError as error:  # a chat template that knows no such conversation
        return row | {"status": "refused", "reason": reason_of(error)}
    return row
