"""Protocol of the multiple-choice tasks that train: a causal LM learns which option is the answer, and is scored on it.

The score of an option is the mean log-probability of its tokens after the prompt. The loss is that of T-Few (Liu et
al., arXiv 2205.05638, section 3.2) without its unlikelihood term: cross-entropy of the softmax over the scores of a
question's options, plus the negative score of the right one (the language model's own loss). The option with the
highest score is the prediction, with a method that trains and with one that does not.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.data.labelled.questions import Question, QuestionParts
from sparsebench.data.text.windows import Tokenizer
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context, Target
from ...contracts.metrics import Scores
from ...contracts.traits import TRAINING_DATA
from ..language.routing import health_details, watched
from ..language.task import SEPARATOR, CausalLM, LanguageTask, encode
from .option_likelihoods import NAMES, with_options
from .prefix_sharing import Pack, Request, packs, token_scores

MAX_LENGTH = 2048
"""Tokens of a prompt with one option that are still read."""

Batch = Mapping[str, Any]
"""Questions ready for a model: see `batch_of`."""


@dataclass(frozen=True)
class Tokens:
    """A question as tokens: prompt, options (each with its blank in front), number of the right one."""

    prompt: list[int]
    options: list[list[int]]
    gold: int


@dataclass(frozen=True)
class ChoiceData:
    """Training questions in a fixed order, and how to batch them."""

    train: Sequence[Tokens]
    separator: list[int]
    device: torch.device
    lengths: None = None
    """Options are packed, not padded."""

    def collate(self, questions: list[Tokens]) -> Batch:
        """One batch, as `choice_loss` takes it."""
        return batch_of(questions, self.separator, self.device)


class ChoiceTask(LanguageTask):
    """Base of the trained multiple-choice tasks; a subclass names its `questions`.

    `budget.batch_size` counts questions; `budget.test_examples` limits the test part, and the validation part too.
    """

    gives = LanguageTask.gives | {TRAINING_DATA}
    group = "trained multiple choice"
    metric_names = ("accuracy", "val accuracy", *NAMES)

    @abstractmethod
    def questions(self) -> QuestionParts:
        """The fixed parts, each in a random order."""

    def load_shared(self) -> None:
        """The questions."""
        self.questions()

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Accuracy on both parts; of the test part the scores of all options, too, and the health of routers."""
        parts, limit = self.questions(), context.budget.test_examples
        test = parts.test[:limit]
        val = parts.val[:limit]
        scores, routers = watched(subject.model, lambda: scores_of(subject, test, context))
        correct = answers(scores, test)
        on_val = answers(scores_of(subject, val, context), val)
        metrics = {"accuracy": _accuracy(correct, test), "val accuracy": _accuracy(on_val, val)}
        found = Scores("accuracy", metrics, {"correct": correct}, health_details({context.task: routers}, context))
        return with_options(found, scores, [question.gold for question in test])

    @property
    def calibration_choices(self) -> tuple[str, ...]:
        """None: calibration examples are training questions."""
        return ()

    def _data(self, context: Context, tokenizer: Tokenizer) -> ChoiceData:
        train = [tokens_of(question, tokenizer) for question in self.questions().train]
        return ChoiceData(train, encode(tokenizer, SEPARATOR), context.device)

    def _fill(self, context: Context, tokenizer: Tokenizer, data: ChoiceData) -> Context:
        """Calibration is by training questions: to the model itself they are texts with their right answers."""
        count, size = min(context.budget.calibration_examples, len(data.train)), context.budget.batch_size
        order = torch.randperm(len(data.train), generator=context.task_generator("calibration"))[:count].tolist()
        chosen = [data.train[row] for row in order]
        batches = [data.collate(chosen[start : start + size]) for start in range(0, count, size)]
        return replace(
            context,
            target=Target("next-token", len(tokenizer)),
            batches=lambda: batches,
            inputs=lambda batch: {"input_ids": batch["input_ids"], "use_cache": False},
            loss=choice_loss,
            tokens=lambda batch: sum(len(pack.ids) for pack in batch["packs"]),
        )


def tokens_of(question: Question, tokenizer: Tokenizer) -> Tokens:
    """Prompt and options are tokenised apart; byte-level BPE never joins a blank to what stands before it."""
    options = [encode(tokenizer, f" {option}") for option in question.options]
    return Tokens(encode(tokenizer, question.prompt), options, question.gold)


def batch_of(questions: Sequence[Tokens], separator: list[int], device: torch.device) -> Batch:
    """`packs` of all options, `counts` of options and `gold` by question, and `input_ids` (1, T).

    The latter are the questions with their right answers as one text, for methods that look at activations.
    """
    requests: list[Request] = []
    text: list[int] = []
    for question in questions:
        for option in question.options:
            requests.append((("", ""), question.prompt, option))
        text += [*question.prompt, *question.options[question.gold], *separator]
    return {
        "packs": list(packs(requests, MAX_LENGTH)),
        "counts": [len(q.options) for q in questions],
        "gold": [q.gold for q in questions],
        "input_ids": torch.tensor([text], device=device),
    }


def option_scores(model: nn.Module, batch: Batch) -> Sequence[Tensor]:
    """Mean log-probability, in nats per token, of each option (counts[i],) of each question."""
    scores: dict[int, Tensor] = {}
    for pack in batch["packs"]:
        scores.update(_means(model, pack))
    return torch.stack([scores[number] for number in range(len(scores))]).split(batch["counts"])


def _means(model: nn.Module, pack: Pack) -> Iterator[tuple[int, Tensor]]:
    lengths = [len(tokens) for _, tokens in pack.continuations]
    scores, _ = token_scores(model, pack)
    for (number, _), part in zip(pack.continuations, scores.split(lengths), strict=True):
        yield number, part.mean()


def choice_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean over questions of the cross-entropy over options and the negative score of the right one."""
    losses = []
    for score, gold in zip(option_scores(model, batch), batch["gold"], strict=True):
        losses.append(-score.log_softmax(0)[gold] - score[gold])
    return torch.stack(losses).mean()


@torch.inference_mode()
def scores_of(lm: CausalLM, questions: Sequence[Question], context: Context) -> list[list[float]]:
    """Mean log-probability, in nats per token, of each option of each question.

    Args:
        lm: the model.
        questions: with their options.
        context: says the size of a batch.

    Returns:
        A list for each question.

    Raises:
        FloatingPointError: the model puts out NaN or infinite logits.
    """
    tokens, size = [tokens_of(question, lm.tokenizer) for question in questions], context.budget.batch_size
    found = []
    for start in range(0, len(tokens), size):
        batch = batch_of(tokens[start : start + size], [], context.device)
        for score in option_scores(lm.model, batch):
            if not score.isfinite().all():
                raise FloatingPointError("the model puts out NaN or infinite logits")
            found.append(score.tolist())
    return found


def answers(scores: Sequence[Sequence[float]], questions: Sequence[Question]) -> list[int]:
    """1 for each question whose right option has the highest score (the first of equal ones), else 0."""
    pairs = zip(scores, questions, strict=True)
    return [int(score.index(max(score)) == question.gold) for score, question in pairs]


def _accuracy(correct: Sequence[int], questions: Sequence[Question]) -> Metric:
    n = len(correct)
    fraction = sum(correct) / n
    return Metric(
        value=fraction,
        stderr=(fraction * (1 - fraction) / (n - 1)) ** 0.5 if n > 1 else None,
        n=n,
        higher_is_better=True,
        chance=sum(1 / len(question.options) for question in questions) / n,
        unit="share",
    )
