"""What the training tasks train on: rows of text by group, their batches, and the part that is held out."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from sparsebench.data.manifest import near
from sparsebench.data.text.windows import Tokenizer

from ..language.task import SEPARATOR, encode
from .isolation import token_mask
from .packing import IGNORED, Example, Row, collate


@dataclass(frozen=True)
class TextRows:
    """Map-style training data of a causal LM: `train` rows, each of one group (a text domain, say).

    Packed rows are padded to `length` and keep their examples apart; other rows are whole windows of `length` tokens.
    """

    train: Sequence[Row]
    held_out: Sequence[Row]
    length: int
    packed: bool
    device: torch.device
    lengths: None = None
    """All batches are as long as a row."""
    tokenizer: Any = None
    """That the rows were made with; None where their text is not asked for."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, in order."""
        return tuple(dict.fromkeys(row.group for row in self.train))

    @property
    def val(self) -> "TextRows":
        """The held-out part, as data of the same kind."""
        return replace(self, train=self.held_out, held_out=())

    def only(self, groups: Iterable[str]) -> "TextRows":
        """The rows of these groups. Raises ValueError for an unknown group, and for none at all."""
        chosen = tuple(groups)
        if not chosen:
            raise ValueError(f"no group to train on; known: {', '.join(self.groups)}")
        for group in chosen:
            if group not in self.groups:
                raise ValueError(f"no group {group!r} in the training data{near(group, self.groups)}")
        train = [row for row in self.train if row.group in chosen]
        return replace(self, train=train, held_out=[row for row in self.held_out if row.group in chosen])

    def collate(self, rows: Sequence[Row]) -> dict[str, Any]:
        """A batch as `language_loss` takes it: `input_ids`, `labels`, `groups`, and what keeps packed rows apart."""
        if self.packed:
            return collate(rows, self.length, self.device)
        windows = [row.examples[0] for row in rows]
        return {
            "input_ids": torch.tensor([window.ids for window in windows], device=self.device),
            "labels": torch.tensor([window.labels for window in windows], device=self.device),
            "groups": tuple(row.group for row in rows),
        }

    def weight(self, batch: Mapping[str, Any]) -> float:
        """How many tokens the loss of a batch is a mean of."""
        return float((batch["labels"][:, 1:] != IGNORED).sum())

    def text(self, example: Example) -> str:
        """What an example says, without special tokens. Raises ValueError where no tokenizer is known."""
        if self.tokenizer is None:
            raise ValueError("these rows came without their tokenizer: their text cannot be had")
        return self.tokenizer.decode(example.ids, skip_special_tokens=True)

    def fingerprint(self) -> str:
        """Which tokens and labels these are."""
        digest = hashlib.sha256()
        for row in self.train:
            for example in row.examples:
                digest.update(f"{row.group} {len(example.ids)} ".encode())
                digest.update(np.array([example.ids, example.labels], dtype=np.int64).tobytes())
        return f"{len(self.train)} rows of {self.length} tokens, sha256 {digest.hexdigest()}"


def count_tokens(batch: Mapping[str, Any]) -> int:
    """Tokens of a batch that are no padding."""
    return int(token_mask(batch).sum())


def text_windows(group: str, documents: Iterable[str], tokenizer: Tokenizer, length: int, most: int) -> list[Row]:
    """The first windows of `length` tokens, at most `most`, of documents joined by a blank line.

    Reads no more documents than it needs. Raises ValueError where they do not make one window.
    """
    separator = encode(tokenizer, SEPARATOR)
    stream: list[int] = []
    for document in documents:
        if stream:
            stream += separator
        stream += encode(tokenizer, document)
        if len(stream) >= length * most:
            break
    if len(stream) < length:
        raise ValueError(f"the text of {group!r} has {len(stream)} tokens, too few for one window of {length}")
    rows = []
    for start in range(0, min(len(stream) // length, most) * length, length):
        ids = tuple(stream[start : start + length])
        rows.append(Row(group, (Example(f"window {len(rows)} of {group!r}", group, ids, ids),)))
    return rows


def first_of_each(rows: Iterable[Row], count: int) -> list[Row]:
    """The first `count` rows of each group, group by group."""
    by_group: dict[str, list[Row]] = {}
    for row in rows:
        by_group.setdefault(row.group, []).append(row)
    found: list[Row] = []
    for members in by_group.values():
        found += islice(members, count)
    return found
