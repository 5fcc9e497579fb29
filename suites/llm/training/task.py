"""Base of the tasks on which a language model trains: whether backbone and rows fit, and what a method finds."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch

from sparsebench.data.text.windows import Tokenizer
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context, LoadBackbone, Setup
from ...contracts.method import NotApplicable
from ...contracts.traits import TRAINING_DATA
from ..bits_per_byte.task import fixed_mean
from ..language.task import CausalLM, LanguageTask
from .data import TextRows, count_tokens
from .isolation import CannotPack, check_isolation, language_loss, model_inputs

TEXT_ROWS = "rows of text to train on in this task"
CONVERSATIONS = "conversations to train on in this task"
"""Traits that methods need: said of the backbone, as here, in the reason of an 'n/a'."""
SHARED_VOCABULARY = 0.9
"""A model may have more rows of embedding than its tokenizer has tokens, since some are rounded up, but not many."""


@dataclass(frozen=True)
class TrainedLM(CausalLM):
    """A model with its tokenizer and the data that it may have trained on."""

    data: TextRows


class TrainingTask(LanguageTask):
    """A subclass gives the data (`text_rows`) and the scores. The data and their order depend on task and seed alone.

    What a conversion sees before the training is what it sees in the other language tasks of the same seed.
    """

    gives: ClassVar[frozenset[str]] = LanguageTask.gives | {TRAINING_DATA, TEXT_ROWS}
    window: ClassVar[int] = 512
    """Tokens of a row; a model that reads fewer at once has rows of so many."""
    packed: ClassVar[bool]
    """Whether rows hold several examples, so that the model has to keep them apart."""

    @abstractmethod
    def text_rows(self, context: Context, tokenizer: Tokenizer, length: int) -> TextRows:
        """Training and held-out rows of `length` tokens."""

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """As of every language task, with training data. Raises ValueError for a tokenizer that is not the model's."""

        def load(generator: torch.Generator) -> Any:
            lm = load_backbone(generator)
            if isinstance(lm, CausalLM):
                check_vocabulary(lm)
                self._check_isolation(lm)
            return lm

        setup = super().build(load, context)
        inputs = partial(model_inputs, setup.model)
        length = int(min(self.window, reads(setup.backbone)))
        data = self.text_rows(context, setup.backbone.tokenizer, length)
        return replace(setup, data=data, context=replace(setup.context, inputs=inputs))

    def subject(self, model: torch.nn.Module, setup: Setup) -> TrainedLM:
        """The model with the tokenizer of its backbone, and the data."""
        lm = TrainedLM(model, setup.backbone.tokenizer, setup.data)
        self._check_isolation(lm)
        return lm

    def _check_isolation(self, lm: CausalLM) -> None:
        if not self.packed:
            return
        try:
            check_isolation(lm.model)
        except CannotPack as error:
            raise NotApplicable(str(error)) from error

    def _fill(self, context: Context, tokenizer: Tokenizer, data: Any) -> Context:
        filled = super()._fill(context, tokenizer, data)
        return replace(filled, loss=language_loss, tokens=count_tokens)


def check_vocabulary(lm: CausalLM) -> None:
    """Raise ValueError where the tokenizer is not that of the model, by the number of tokens."""
    embedding: Any = lm.model.get_input_embeddings()  # type: ignore[operator]
    rows = embedding.num_embeddings
    tokens = len(lm.tokenizer)
    if not SHARED_VOCABULARY * rows <= tokens <= rows:
        raise ValueError(
            f"the tokenizer has {tokens} tokens and the model's embedding {rows} rows, so they are not of one "
            "vocabulary: load both from the folder of the same model"
        )


def reads(lm: CausalLM) -> float:
    """Tokens that a model reads at once, by its configuration; infinite where that says nothing."""
    most = getattr(getattr(lm.model, "config", None), "max_position_embeddings", None)
    return math.inf if most is None else most


def check_finite(what: str, by_group: Mapping[str, list[float]]) -> None:
    """Raise FloatingPointError that names the groups with a value that is not finite."""
    bad = [group for group, values in by_group.items() if not all(map(math.isfinite, values))]
    if bad:
        raise FloatingPointError(
            f"{what} of {', '.join(map(repr, bad))} is NaN or infinite: the model puts out NaN or infinite logits there"
        )


def over_groups(name: str, by_group: Mapping[str, Metric], worst: str) -> dict[str, Metric]:
    """The mean over fixed groups that weigh the same, each group, and the one with the highest value.

    The standard error of the mean is that of independent examples inside each group.
    """
    metrics = list(by_group.values())
    value, stderr = fixed_mean([(metric.value, metric.stderr) for metric in metrics])
    found = {name: replace(metrics[0], value=value, stderr=stderr, n=sum(metric.n or 0 for metric in metrics))}
    for group, metric in by_group.items():
        found[f"{name} {group}"] = metric
    if worst:
        found[worst] = max(metrics, key=lambda metric: metric.value)
    return found
