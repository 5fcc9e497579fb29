"""Pre-training goes on over several text domains: windows of text, every token of which is learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.errors import DataError
from sparsebench.data.text.windows import Tokenizer, token_bytes
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..bits_per_byte.domains import SPECIALISATION
from ..bits_per_byte.task import (
    DEFAULT_WINDOWS,
    MAIN,
    DomainBits,
    by_window,
    domain_bits,
    router_details,
    router_load,
    window_bits,
)
from ..language.routing import Watched
from ..language.task import CausalLM
from ..multiple_choice.harness_task import HarnessTask
from .data import TextRows, first_of_each, text_windows
from .packing import Row
from .task import TrainedLM, TrainingTask, check_finite, over_groups, reads

WORST = "worst domain"
VAL = f"val {MAIN}"
MOST_WINDOWS = 4096
"""Training windows of each domain; fewer where the smallest domain has less text."""
MOST_VAL_WINDOWS = 16
ACCURACY = "accuracy"
QUESTIONS = 25
QUESTION_LENGTH = 2048
"""Tokens that a model has to read at once for the sets of questions."""


class PretrainingTask(TrainingTask):
    """Base of the tasks that train on `domains`, all with the same number of windows: the mixture is uniform.

    Documents of the part "train" are trained on, those of "val" give the validation loss, and those of "test" the
    scores, as in a `DomainsTask`; `budget.test_examples` is the number of windows of each domain. Documents run on from
    window to window, so that a window may begin or end within one, and nothing keeps those in one window apart.
    """

    domains: ClassVar[tuple[str, ...]]
    questions: ClassVar[tuple[HarnessTask, ...]] = ()
    """Sets of questions that are scored as well, `QUESTIONS` for each window of a domain, by models that read
    `QUESTION_LENGTH` tokens; the record says so of others."""
    packed = False
    metric_names = (MAIN, f"{MAIN} *", WORST, VAL, f"{ACCURACY} *", SPECIALISATION)

    def load_shared(self) -> None:
        """With all that is trained on and scored."""
        super().load_shared()
        for domain in self.domains:
            for part in ("train", "val"):
                self.training_text(domain, part)
            self.documents(domain, "test")

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """The mean, each domain, the worst, and the mean of the held-out part."""
        found = {domain: domain_bits(self, domain, subject, context) for domain in self.domains}
        check_finite("bits per byte", {domain: read.bits for domain, read in found.items()})
        examples = by_window(found)
        metrics = over_groups(MAIN, _metrics(found), WORST)
        metrics[VAL] = over_groups(MAIN, _metrics(_held_out(subject, context)), "")[MAIN]
        details = router_details(found, context)
        answered: dict[str, Scores] = {}
        if self.questions and reads(subject) < QUESTION_LENGTH:
            details["questions"] = f"not scored: the model reads {reads(subject)} tokens, a question may have more"
        else:
            answered = self._answered(subject, context)
            for name, scored in answered.items():
                metrics[name] = scored.metrics[scored.main]
                examples[name] = list(scored.examples[scored.main])
        load = router_load(found)
        if load is not None:
            metrics[SPECIALISATION] = Metric(value=load.specialisation(), higher_is_better=True, unit="bits")
        return self.with_answers(Scores(MAIN, metrics, examples, details), list(answered.values()))

    def with_answers(self, found: Scores, answered: Sequence[Scores]) -> Scores:
        """What more is kept of the sets of questions; the default is nothing.

        Args:
            found: the scores, accuracies of the sets included.
            answered: all that each set has.
        """
        return found

    def _answered(self, subject: CausalLM, context: Context) -> dict[str, Scores]:
        """The scores of the sets of questions."""
        documents = QUESTIONS * (context.budget.test_examples or DEFAULT_WINDOWS)
        asked = replace(context, budget=replace(context.budget, test_examples=documents))
        return {f"{ACCURACY} {task.harness_name}": task.evaluate(subject, asked) for task in self.questions}

    def text_rows(self, context: Context, tokenizer: Tokenizer, length: int) -> TextRows:
        """All windows of the smallest domain, and as many of each other one."""
        train, held_out = _rows(type(self), tokenizer, length)
        return TextRows(train, held_out, length, self.packed, context.device, tokenizer=tokenizer)

    def derive_data(self) -> None:
        """Make and verify the text of each domain, for `sparsebench prepare`; tokens are made again in each process.

        Raises `DataError`, for a part without text too.
        """
        for domain in self.domains:
            for part in ("train", "val"):
                if not self.training_text(domain, part):
                    raise DataError(f"the text of {domain!r} has nothing in its part {part!r}")

    def training_text(self, domain: str, part: str) -> Sequence[str]:
        """Documents of the part "train" or "val" of a domain."""
        return self.documents(domain, part)

    def windows(self, part: str, tokenizer: Tokenizer, length: int, most: int) -> list[Row]:
        """The same number of windows of each domain, at most `most`. Raises ValueError for one without text."""
        documents = {domain: self.training_text(domain, part) for domain in self.domains}
        found = {}
        # The domain with the least text first: no more of the others has to be tokenised than it has windows.
        for domain in sorted(self.domains, key=lambda domain: sum(map(len, documents[domain]))):
            found[domain] = text_windows(domain, documents[domain], tokenizer, length, most)
            most = len(found[domain])
        return [row for domain in self.domains for row in found[domain][:most]]


@cached_reads(maxsize=2)
def _rows(task: type[PretrainingTask], tokenizer: Tokenizer, length: int) -> tuple[list[Row], list[Row]]:
    """Training and held-out rows: the same in every cell, and some seconds of tokenising."""
    train = task().windows("train", tokenizer, length, MOST_WINDOWS)
    return train, task().windows("val", tokenizer, length, MOST_VAL_WINDOWS)


def _metrics(found: Mapping[str, DomainBits]) -> dict[str, Metric]:
    return {domain: read.metric() for domain, read in found.items()}


def _held_out(subject: CausalLM, context: Context) -> dict[str, DomainBits]:
    """The same of the held-out part."""
    assert isinstance(subject, TrainedLM)
    found = {}
    for row in first_of_each(subject.data.val.train, context.budget.test_examples or DEFAULT_WINDOWS):
        found.setdefault(row.group, []).append(row.examples[0].ids)
    return {domain: _read(subject, rows, context) for domain, rows in found.items()}


def _read(subject: CausalLM, rows: Sequence[tuple[int, ...]], context: Context) -> DomainBits:
    ids_NT = torch.tensor(rows, device=context.device)
    bits = window_bits(subject.model, ids_NT, context.budget.batch_size)
    return DomainBits(bits, [token_bytes(subject.tokenizer, row[1:]) for row in rows], Watched())
