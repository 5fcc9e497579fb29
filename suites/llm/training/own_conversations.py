"""Tuning on the user's own conversations, by the protocol of `prediction/chosen.py`; bits per byte of the answers.

Every answer is an example of its own: the tokens before it are what a model would be asked with (`chat.py`: by the
chat template of the tokenizer, or plainly), the answer and what ends it have labels, nothing else has. The score of a
conversation is the bits of its answers, their ends included, over the UTF-8 bytes of their texts, whatever the
tokenizer; that of a part the sum over the sum, with the conversation as the unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.identity import identity
from sparsebench.data.labelled.dealt import PARTS, Part
from sparsebench.data.own.conversations import SOURCE, OwnConversation, OwnConversations, own_conversations
from sparsebench.data.own.named_folders import not_named
from sparsebench.data.text.windows import Tokenizer
from sparsebench.reports.panels.chosen_options import Protocol, to_details

from ...contracts.context import Context, LoadBackbone, Setup
from ...contracts.method import Method, NotApplicable
from ...contracts.metrics import Scores
from ...contracts.task import Outcome
from ...prediction.chosen import best_of, refuse_own_choice, seed_generators
from ...prediction.data import sample_rows
from ..bits_per_byte.task import MAIN, bits_metric, ratio
from ..language.routing import health_details, watched
from ..language.task import CALIBRATION_WINDOW, CausalLM
from .chat import render
from .data import TextRows
from .instructions import answer_scores
from .packing import IGNORED, Example, Row, pack
from .task import CONVERSATIONS, TrainedLM, TrainingTask

GROUP = "conversations"
COST_TEXT = 4096
"""Characters of training text, at least, that the costs of a token are measured on; little text is repeated."""


class Asked(NamedTuple):
    """An answer with what stands before it, as `chat.render` takes it."""

    group: str
    name: str
    messages: tuple[tuple[str, str], ...]
    answer: str


@dataclass(frozen=True)
class Read:
    """Conversations as examples of at most `length` tokens, those of each one, and how many are longer than a row."""

    examples: tuple[tuple[Example, ...], ...]
    cut: int

    def rows(self, length: int) -> list[Row]:
        """All examples, packed."""
        return pack([example for some in self.examples for example in some], length)


class ConversationStage(TrainingTask):
    """One training on some parts of the user's conversations, and the score of another part."""

    gives = TrainingTask.gives | {CONVERSATIONS}
    metric_names = (MAIN, f"val {MAIN}")
    calibration_domains = (GROUP,)
    window = 1024
    packed = True
    trained: ClassVar[tuple[Part, ...]] = ("train", "val")
    scored: ClassVar[Part] = "test"

    def __init__(self) -> None:
        self.subject_scored: TrainedLM | None = None
        self.parameters = 0

    def data(self) -> OwnConversations:
        """What the folder holds. Raises `NotApplicable` without one, `DataError` for one that cannot be learnt from."""
        reason = self.missing()
        if reason is not None:
            raise NotApplicable(reason)
        return own_conversations()

    def missing(self) -> str | None:
        """Why there is nothing to read, or None."""
        return not_named(SOURCE)

    def parts(self, *names: Part) -> list[OwnConversation]:
        """The conversations of parts, one part after the other."""
        data = self.data()
        return [one for name in names for one in data.of(name)]

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """What the training conversations say, repeated where it is little."""
        texts = ["\n\n".join(content for _, content in one.turns) for one in self.parts("train")]
        return tuple(texts * math.ceil(COST_TEXT / sum(map(len, texts))))

    def run_seeded(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """One training, with the global generators as in every other stage."""
        seed_generators(context)
        return TrainingTask.run(self, chain, load_backbone, context)

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """As every task that trains; the conversations are read before the model is. A method that looks at data before
        the training sees the first rows of it, of which the answers alone have a loss.
        """
        self.data()
        setup = super().build(load_backbone, context)
        budget = context.budget
        rows = setup.data.train[: budget.calibration_examples]
        size = budget.batch_size
        batches = [setup.data.collate(rows[start : start + size]) for start in range(0, len(rows), size)]
        return replace(setup, context=replace(setup.context, batches=lambda: batches))

    def _calibration_windows(self, context: Context, tokenizer: Tokenizer) -> Tensor:
        """None: `build` gives rows of conversations."""
        return torch.empty(0, CALIBRATION_WINDOW, dtype=torch.int64)

    def text_rows(self, context: Context, tokenizer: Tokenizer, length: int) -> TextRows:
        """The rows that train; held out are those of the validation part."""
        train = self.read(self.trained, tokenizer, length).rows(length)
        held_out = self.read(("val",), tokenizer, length).rows(length)
        return TextRows(train, held_out, length, self.packed, context.device, tokenizer=tokenizer)

    def read(self, parts: tuple[Part, ...], tokenizer: Tokenizer, length: int) -> Read:
        """The conversations of parts as tokens."""
        return _read(identity(SOURCE), parts, tokenizer, length)

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Bits per byte of the answers of the scored part. Raises FloatingPointError where they are not finite."""
        assert isinstance(subject, TrainedLM)
        self.subject_scored = subject
        costs = context.ledger.costs()
        self.parameters = 0 if costs is None else costs.params or 0
        length = subject.data.length
        conversations = self.parts(self.scored)
        read = self.read((self.scored,), subject.tokenizer, length)
        # Not the first ones: files are often sorted by what conversations are about.
        rows = sample_rows(len(conversations), context.budget.test_examples)
        found = [conversations[row] for row in rows]
        work = partial(answer_bits, subject, [read.examples[row] for row in rows], context)
        bits, routers = watched(subject.model, work, logits=True)
        sizes = [one.answer_bytes for one in found]
        value, stderr = ratio(bits, sizes)
        cut = {self.scored: read.cut, "train": self.read(self.trained, subject.tokenizer, length).cut}
        details = {"conversations cut": cut, **health_details({GROUP: routers}, context)}
        metric = bits_metric(value, stderr, len(found))
        return Scores(MAIN, {MAIN: metric}, {"bits": bits, "bytes": sizes}, details)


class _Trial(ConversationStage):
    """A trial trains on the training part and is scored on the validation part."""

    trained = ("train",)
    scored = "val"


class OwnConversationsTask(ConversationStage):
    """Options are chosen on the validation part; then both parts train, and the test part is scored once.

    The content of the folder is in the key of each cell. `details["own data"]` says how many conversations each part
    has, and how many lines are in none; `details["conversations cut"]`, how many are longer than a row. Such a one
    loses nothing of its answers: it is read in pieces that end half a row apart, each after as much of what stands
    before it as a row holds.
    """

    def load_shared(self) -> None:
        """The conversations."""
        if self.missing() is None:
            self.data()

    def check_data(self) -> None:
        """Read the conversations, if they are there. Raises `DataError` for what is wrong with them."""
        self.load_shared()

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Choose, train once more on everything, and score the test part."""
        refuse_own_choice(chain)
        data = self.data()
        whole = replace(context, budget=replace(context.budget, test_examples=None))
        best, choice = best_of(_Trial(), chain, load_backbone, whole)
        folder = None if context.folder is None else context.folder / "last"
        outcome, _ = self.train_chosen(best.chain, load_backbone, replace(context, folder=folder))
        assert best.score is not None
        rows = len(self.parts(*self.trained))
        protocol = Protocol(trained=self.parameters, head=0, rows=rows, chosen=choice["chosen"])
        details = {
            **outcome.details,
            **to_details(protocol),
            "choice": choice,
            "validation": {name: list(values) for name, values in best.examples.items()},
            "own data": {part: len(data.of(part)) for part in PARTS} | {"rejected": len(data.rejected)},
        }
        return replace(outcome, metrics={**outcome.metrics, f"val {MAIN}": best.score}, details=details)

    def train_chosen(
        self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context
    ) -> tuple[Outcome, TrainedLM]:
        """The last training alone, with methods whose options are chosen: the outcome, and the model that it is of."""
        outcome = self.run_seeded(chain, load_backbone, context)
        assert self.subject_scored is not None
        return outcome, self.subject_scored


@cached_reads(maxsize=4)
def _read(content: str, parts: tuple[Part, ...], tokenizer: Tokenizer, length: int) -> Read:
    """`content` is that of the folder: the same in every cell, and some seconds of tokenising."""
    data = own_conversations()
    return read_conversations([one for part in parts for one in data.of(part)], tokenizer, length)


def read_conversations(found: Sequence[OwnConversation], tokenizer: Any, length: int) -> Read:
    """Conversations as tokens.

    Args:
        found: each with an answer.
        tokenizer: of the model.
        length: tokens of a row.

    Returns:
        The examples of each.

    Raises:
        ValueError: a conversation that the chat template refuses, with its line.
    """
    examples = []
    cut = 0
    for one in found:
        whole = [render(question, tokenizer, one.line) for question in questions(one)]
        cut += any(len(example.ids) > length for example in whole)
        examples.append(tuple(piece for example in whole for piece in pieces(example, length)))
    return Read(tuple(examples), cut)


def questions(one: OwnConversation) -> list[Asked]:
    """Each answer of a conversation with the turns before it."""
    return [
        Asked(GROUP, f"line {one.line}, turn {place + 1}", one.turns[:place], one.turns[place][1])
        for place in one.answers
    ]


def pieces(example: Example, length: int) -> list[Example]:
    """An example as examples of at most `length` tokens, in which each of its labels is once.

    Args:
        example: of any length.
        length: tokens of a row, two at least.

    Returns:
        The example itself where it fits. Else a piece for each half row of labels, with as many tokens before it as
        the row holds: the rest of the beginning is cut.
    """
    if len(example.ids) <= length:
        return [example]
    size = len(example.ids)
    first = next(place for place, label in enumerate(example.labels) if label != IGNORED)
    found = []
    for start in range(first, size, length // 2):
        end = min(start + length // 2, size)
        begin = max(0, end - length)
        labels = (*[IGNORED] * (start - begin), *example.labels[start:end])
        name = f"{example.name}, from token {start}"
        found.append(replace(example, name=name, ids=example.ids[begin:end], labels=labels, cut=begin))
    return found


def answer_bits(lm: TrainedLM, conversations: Sequence[Sequence[Example]], context: Context) -> list[float]:
    """Negative log2-likelihood of the answers of each conversation, their ends included.

    Args:
        lm: the model, with the form of its rows.
        conversations: the examples of each.
        context: says how many rows go through the model at once.

    Returns:
        Bits, a number for each conversation.
    """
    named = {(owner, place): example for owner, some in enumerate(conversations) for place, example in enumerate(some)}
    marked = [replace(example, name=f"{owner} {place}") for (owner, place), example in named.items()]
    scores = answer_scores(lm, pack(marked, lm.data.length), context)
    return [
        math.fsum(scores[f"{owner} {place}"].nats for place in range(len(some))) / math.log(2)
        for owner, some in enumerate(conversations)
    ]
