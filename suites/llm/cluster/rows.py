"""What the trainings read, as transformers' `Trainer` takes it: rows of text, or of packed conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from sparsebench.data.text.streaming.corpus import TextCorpus
from sparsebench.data.text.windows import Tokenizer

from ..training.chat import render
from ..training.isolation import packed_mask
from ..training.packing import Example, collate, pack

BUFFER = 2000
"""Conversations that are packed together: rows are full, and none of the files has to fit into memory."""


@dataclass
class TextRows(IterableDataset):
    """Windows of `length` tokens of a folder with a folder of text files for each domain, in fixed shares.

    Raises the errors of `TextCorpus`; a domain that is used up is one of them, unless `repeat`.
    """

    folder: Path
    tokenizer: Tokenizer
    length: int
    weights: Mapping[str, float] | None = None
    repeat: bool = False

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Rows `input_ids` and `labels` (L,), from the first on."""
        corpus = TextCorpus(self.folder, self.tokenizer, self.length, self.weights, repeat=self.repeat)
        for _, window in corpus:
            ids = torch.tensor(window)
            yield {"input_ids": ids, "labels": ids}


@dataclass(frozen=True)
class Turn:
    """One answer of a conversation and all that stands before it; `group` is the file."""

    group: str
    name: str
    messages: tuple[tuple[str, str], ...]
    answer: str


@dataclass
class ConversationRows(IterableDataset):
    """Packed rows of the conversations in the .jsonl files of a folder, again and again; loss on answers only.

    A line is {"messages": [{"role": "system", "user" or "assistant", "content": ...}, ...]}. Each answer of the
    assistant is an example, with what stands before it as its context; of one that is longer than a row, the end is
    taken, and how many these were stands in `cut`. Raises ValueError, with file and line, for one that is no such
    conversation, and where a folder has none.
    """

    folder: Path
    tokenizer: Tokenizer
    length: int
    cut: int = 0

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Rows `input_ids`, `labels`, `position_ids`, `sequence_ids` (L,), see `pack` and `collate`."""
        files = sorted(self.folder.glob("*.jsonl"))
        if not files:
            raise ValueError(f"{self.folder} has no .jsonl file of conversations")
        while True:
            waiting: list[Example] = []
            for file in files:
                for number, turn in enumerate(turns(file)):
                    waiting.append(render(turn, self.tokenizer, number))
                    if len(waiting) == BUFFER:
                        yield from self._packed(waiting)
                        waiting = []
            yield from self._packed(waiting)

    def _packed(self, examples: Sequence[Example]) -> Iterator[dict[str, Tensor]]:
        self.cut += sum(len(example.ids) > self.length for example in examples)
        for row in pack(examples, self.length, longer="cut"):
            batch = collate([row], self.length, torch.device("cpu"))
            del batch["groups"]
            yield {name: values[0] for name, values in batch.items()}


def turns(file: Path) -> Iterator[Turn]:
    """Every answer in a file of conversations. Raises ValueError, with the place, for one with nothing to learn."""
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{file}, line {number}"
            before: list[tuple[str, str]] = []
            answers = 0
            for role, content in _messages(line, place):
                if role == "assistant" and before:
                    answers += 1
                    yield Turn(file.stem, place, tuple(before), content)
                before.append((role, content))
            if not answers:
                raise ValueError(f"{place}: no message of the role 'assistant' after another one: nothing to learn")


def _messages(line: str, place: str) -> list[tuple[str, str]]:
    try:
        return [(message["role"], message["content"]) for message in json.loads(line)["messages"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{place}: not {{"messages": [{{"role": ..., "content": ...}}, ...]}} ({type(error).__name__}: {error})'
        ) from error


def stacked(rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A batch, each tensor (B, L)."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def isolate(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Forward pre-hook of a model: packed rows bring `sequence_ids`, of which their mask is made where they are."""
    if "sequence_ids" in kwargs:
        kwargs = dict(kwargs)
        kwargs["attention_mask"] = packed_mask(kwargs.pop("sequence_ids"))
    return args, kwargs
