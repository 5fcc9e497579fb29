"""Instruction tuning: conversations packed into rows, of which the answers are learnt and scored."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import ClassVar

import torch

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.text.windows import Tokenizer
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..bits_per_byte.task import ratio
from ..language.routing import Watched, health_details, watched
from ..language.task import CausalLM
from .chat import Conversation, render
from .data import TextRows
from .isolation import predict, token_nats
from .packing import Example, Row, pack
from .task import CONVERSATIONS, TrainedLM, TrainingTask, check_finite, over_groups

MAIN, EXACT, WORST = "answer_loss", "exact_match", "worst group"
VAL = f"val {MAIN}"
MOST_TRAIN, MOST_VAL, DEFAULT_TEST = 1000, 24, 64
"""Conversations of each group; those of the test part where the budget names no number."""


@dataclass(frozen=True)
class AnswerScore:
    """One answer: its negative log-likelihood in nats, its tokens, and whether greedy decoding writes just them."""

    group: str
    nats: float
    tokens: int
    exact: bool


class InstructionTask(TrainingTask):
    """Base of the tasks that train on conversations of several `groups`; a subclass gives them.

    The first `MOST_TRAIN` conversations of each group are trained on. The loss is that of the answer's tokens, with
    what ends it. A conversation that is longer than a row loses its beginning; the record says how many did. The first
    `budget.test_examples` of the test part of each group are scored. Greedy decoding gives an answer exactly if each of
    its tokens, the end too, is the most likely one after those before it: one forward pass says so.
    """

    groups: ClassVar[tuple[str, ...]]
    group = "instruction tuning"
    window = 1024
    packed = True
    gives = TrainingTask.gives | {CONVERSATIONS}
    metric_names = (MAIN, f"{MAIN} *", WORST, EXACT, f"{EXACT} *", VAL)

    @abstractmethod
    def conversations(self, group: str, part: str) -> Sequence[Conversation]:
        """Those of the part "train", "val" or "test" of a group, in a fixed order."""

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Loss and exact matches of the test part, and the loss of the held-out part."""
        assert isinstance(subject, TrainedLM)
        examples = self.examples("test", subject.tokenizer, context.budget.test_examples or DEFAULT_TEST)
        rows = pack(examples, subject.data.length, longer="cut")
        by_name, routers = self._watched(subject, rows, context)
        scores = [by_name[example.name] for example in examples]
        metrics = over_groups(MAIN, _losses(scores), WORST)
        metrics |= over_groups(EXACT, _exact(scores), "")
        held_out = answer_scores(subject, subject.data.val.train, context)
        metrics[VAL] = over_groups(MAIN, _losses(list(held_out.values())), "")[MAIN]
        cut = {"test": _cut(rows), "train": _cut(subject.data.train)}
        outcomes = {
            "group": [score.group for score in scores],
            "nats": [score.nats for score in scores],
            "tokens": [score.tokens for score in scores],
            EXACT: [int(score.exact) for score in scores],
        }
        return Scores(MAIN, metrics, outcomes, {"conversations cut": cut, **health_details(routers, context)})

    def _watched(
        self, subject: TrainedLM, rows: Sequence[Row], context: Context
    ) -> tuple[dict[str, AnswerScore], dict[str, Watched]]:
        """The score of each example, by its name, and what the routers did with each group."""
        scores: dict[str, AnswerScore] = {}
        routers = {}
        for group in self.groups:
            part = [row for row in rows if row.group == group]
            work = partial(answer_scores, subject, part, context)
            found, routers[group] = watched(subject.model, work, logits=True)
            scores |= found
        return scores, routers

    def examples(self, part: str, tokenizer: Tokenizer, most: int) -> list[Example]:
        """The first conversations of a part of each group as tokens. Raises ValueError for a group without any."""
        found = []
        for group in self.groups:
            found += [render(one, tokenizer, number) for number, one in enumerate(self._some(group, part, most))]
        return found

    def _some(self, group: str, part: str, most: int) -> Sequence[Conversation]:
        members = self.conversations(group, part)[:most]
        if not members:
            raise ValueError(f"group {group!r} has no conversation in its part {part!r}")
        return members

    def derive_data(self) -> None:
        """Make and verify the conversations of each group, for `sparsebench prepare`.

        Raises ValueError for a group without any, and `DataError`.
        """
        for group in self.groups:
            for part in ("train", "val", "test"):
                self._some(group, part, 1)

    def text_rows(self, context: Context, tokenizer: Tokenizer, length: int) -> TextRows:
        """The first conversations of each group, packed."""
        train, held_out = _rows(type(self), tokenizer, length)
        return TextRows(train, held_out, length, self.packed, context.device, tokenizer=tokenizer)


@cached_reads(maxsize=2)
def _rows(task: type[InstructionTask], tokenizer: Tokenizer, length: int) -> tuple[list[Row], list[Row]]:
    """Training and held-out rows: the same in every cell, and some seconds of tokenising."""
    train = task().examples("train", tokenizer, MOST_TRAIN)
    held_out = task().examples("val", tokenizer, MOST_VAL)
    return pack(train, length, longer="cut"), pack(held_out, length, longer="cut")


@torch.inference_mode()
def answer_scores(lm: TrainedLM, rows: Sequence[Row], context: Context) -> dict[str, AnswerScore]:
    """The score of each example of packed rows, by its name."""
    size = context.budget.batch_size
    found: dict[str, AnswerScore] = {}
    for start in range(0, len(rows), size):
        together = rows[start : start + size]
        predicted = predict(lm.model, lm.data.collate(together))
        nats = token_nats(predicted).double().cpu()
        agrees = (predicted.logits.argmax(-1) == predicted.targets).cpu()
        place = 0
        for example in chain.from_iterable(row.examples for row in together):
            part = slice(place, place + example.learnt)
            place = part.stop
            exact = bool(agrees[part].all())
            found[example.name] = AnswerScore(example.group, float(nats[part].sum()), example.learnt, exact)
    return found


def _losses(scores: Sequence[AnswerScore]) -> dict[str, Metric]:
    """Mean loss of a token of an answer, by group; standard errors over answers. Raises FloatingPointError."""
    check_finite("the answer loss", {group: [one.nats for one in part] for group, part in _parts(scores).items()})
    found = {}
    for group, part in _parts(scores).items():
        value, stderr = ratio([one.nats for one in part], [one.tokens for one in part])
        found[group] = Metric(value=value, stderr=stderr, n=len(part), higher_is_better=False, unit="nats/token")
    return found


def _exact(scores: Sequence[AnswerScore]) -> dict[str, Metric]:
    """Share of the answers that greedy decoding gives, by group."""
    found = {}
    for group, part in _parts(scores).items():
        n = len(part)
        fraction = sum(one.exact for one in part) / n
        stderr = None
        if n > 1:
            stderr = (fraction * (1 - fraction) / (n - 1)) ** 0.5
        found[group] = Metric(value=fraction, stderr=stderr, n=n, higher_is_better=True, unit="share")
    return found


def _parts(scores: Sequence[AnswerScore]) -> dict[str, list[AnswerScore]]:
    found: dict[str, list[AnswerScore]] = {}
    for score in scores:
        found.setdefault(score.group, []).append(score)
    return found


def _cut(rows: Sequence[Row]) -> dict[str, int]:
    """How many examples of each group lost their beginning."""
    found: dict[str, int] = {}
    for row in rows:
        found[row.group] = found.get(row.group, 0) + sum(example.cut > 0 for example in row.examples)
    return found
