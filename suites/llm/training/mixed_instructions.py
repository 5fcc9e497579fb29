"""Instruction tuning on a mixture of groups of unlike size, scored on these and on groups outside of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.text.windows import Tokenizer
from sparsebench.reports.statistics.examples import PART

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..language.task import CausalLM
from .chat import Conversation, render
from .data import TextRows
from .instructions import DEFAULT_TEST, MAIN, InstructionTask
from .packing import Example, Row, pack
from .task import over_groups

INSIDE, OUTSIDE = "inside", "outside"
"""Parts of the groups: those that are trained on, and those that are scored only."""
HELD_OUT = 64
"""Held-out conversations of each group that is trained on; what steers a mixture sees all of them."""


class MixedInstructions(InstructionTask):
    """Base of such tasks; a subclass says which groups are trained on, in which fractions of the rows, and which not.

    No conversation is cut: one that is longer than a row is left out, and the record says how many were. Each group
    weighs the same in a score: `answer_loss` is the mean over all, `answer_loss inside` over those of the mixture,
    `answer_loss outside` over the others.
    """

    fractions: ClassVar[Mapping[str, float]]
    """Groups of the mixture, and their fractions of all rows."""
    outside: ClassVar[tuple[str, ...]]
    """Groups that nothing is trained on."""
    total: ClassVar[int] = 2000
    """Rows to train on."""
    window = 384

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """As of every instruction task, with the mean loss inside and outside of the mixture."""
        scores = super().evaluate(subject, context)
        metrics = dict(scores.metrics)
        for part, groups in ((INSIDE, tuple(self.fractions)), (OUTSIDE, self.outside)):
            losses = {group: scores.metrics[f"{MAIN} {group}"] for group in groups}
            metrics[f"{MAIN} {part}"] = over_groups(MAIN, losses, "")[MAIN]
        parts = [INSIDE if group in self.fractions else OUTSIDE for group in scores.examples["group"]]
        most = context.budget.test_examples or DEFAULT_TEST
        left_out = {group: _fitting(type(self), group, "test", subject.tokenizer, most)[1] for group in self.groups}
        details = {**scores.details, "conversations left out": {"test": left_out}}
        return replace(scores, metrics=metrics, examples={**scores.examples, PART: parts}, details=details)

    def examples(self, part: str, tokenizer: Tokenizer, most: int) -> list[Example]:
        """The first conversations of a part of each group that fit a row. Raises ValueError for a group without any."""
        found: list[Example] = []
        for group in self.groups:
            found += _fitting(type(self), group, part, tokenizer, most)[0]
        return found

    def text_rows(self, context: Context, tokenizer: Tokenizer, length: int) -> TextRows:
        """Rows of the groups of the mixture. Raises ValueError for a group that has too few."""
        train: list[Row] = []
        held_out: list[Row] = []
        for group in self.fractions:
            train += _rows(type(self), group, tokenizer, length)
            held_out += pack(_fitting(type(self), group, "val", tokenizer, HELD_OUT)[0], length, longer="cut")
        return TextRows(train, held_out, length, self.packed, context.device, tokenizer=tokenizer)


@cached_reads(maxsize=32)
def _fitting(
    task: type[MixedInstructions], group: str, part: str, tokenizer: Tokenizer, most: int
) -> tuple[Sequence[Example], int]:
    """The first conversations that fit a row, and how many among them did not. Raises ValueError where none does."""
    found, longer = fitting(task().conversations(group, part), tokenizer, task.window, most=most)
    if not found:
        raise ValueError(f"group {group!r} has no conversation of {task.window} tokens or fewer in its part {part!r}")
    return found, longer


@cached_reads(maxsize=8)
def _rows(task: type[MixedInstructions], group: str, tokenizer: Tokenizer, length: int) -> Sequence[Row]:
    """The training rows of a group: its fraction of all."""
    wanted = max(1, round(task.total * task.fractions[group]))
    conversations = task().conversations(group, "train")
    found, _ = fitting(conversations, tokenizer, task.window, tokens=wanted * length)
    rows = pack(found, length, longer="cut")
    if len(rows) < wanted:
        raise ValueError(f"group {group!r} makes {len(rows)} rows of {length} tokens, not {wanted}: give it less")
    return rows[:wanted]


def fitting(
    conversations: Iterable[Conversation],
    tokenizer: Tokenizer,
    length: int,
    *,
    most: int | None = None,
    tokens: int | None = None,
) -> tuple[list[Example], int]:
    """The first conversations that fit a row whole.

    Args:
        conversations: in their order.
        tokenizer: makes them tokens.
        length: tokens of a row.
        most: how many there shall be at most.
        tokens: how many tokens are enough.

    Returns:
        The conversations as tokens, and how many on the way were longer than a row.
    """
    found: list[Example] = []
    longer = 0
    seen = 0
    for number, conversation in enumerate(conversations):
        if (most is not None and len(found) >= most) or (tokens is not None and seen >= tokens):
            break
        example = render(conversation, tokenizer, number)
        if len(example.ids) > length:
            longer += 1
            continue
        found.append(example)
        seen += len(example.ids)
    return found, longer
