"""Protocol of the text tasks: an encoder and a head predict a class or a score for a text or a pair of texts."""

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.labelled.table import LabelledTexts, Parts

from ...contracts.context import Context
from ...contracts.metrics import Scores, correlations, macro_f1
from ...contracts.task import CostCall
from ...prediction.data import Examples, Splits
from ...prediction.task import PredictionTask, Predictor
from ..language.routing import health_details, watched


class TextTask(PredictionTask):
    """Base of the text tasks; a subclass states `target`, the sources and `parts`.

    Classes are scored by accuracy, with macro F1 in addition; a score by Pearson's correlation, as STS-B is (with
    Spearman's; Cer et al., 2017), and by RMSE. The first `budget.test_examples` texts of the test part are a
    random sample of it, the same for every method and seed.
    """

    group = "text"

    @property
    def part_metrics(self) -> tuple[str, ...]:
        """With macro F1, or the two correlations."""
        if self.target.kind == "regression":
            return ("pearson", "spearman", *super().part_metrics)
        return (*super().part_metrics, "macro_f1")

    @abstractmethod
    def parts(self) -> Parts:
        """The fixed parts, each in a random order."""

    def load(self) -> Splits:
        """The parts; read and split once per process."""
        return _load(type(self), tuple(vars(self).items()))

    def load_shared(self) -> None:
        """The parts."""
        self.load()

    def score(self, outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Scores:
        """Metrics of a part. Raises FloatingPointError when an output is not finite."""
        scores = super().score(outputs, targets, generator)
        if self.target.kind == "regression":
            return Scores("pearson", {**correlations(outputs, targets, generator), **scores.metrics}, scores.examples)
        more = {"macro_f1": macro_f1(outputs, targets, generator)}
        return Scores(scores.main, {**scores.metrics, **more}, scores.examples)

    def evaluate(self, subject: Predictor, context: Context) -> Scores:
        """As every prediction task, with the health of the routers on the texts of both parts."""
        scores, routers = watched(subject.model, lambda: super(TextTask, self).evaluate(subject, context))
        return replace(scores, details={**scores.details, **health_details({context.task: routers}, context)})

    def cost_call(self, subject: Predictor, context: Context) -> CostCall:
        """Per token, padding not counted, of the first test texts in one batch."""
        inputs, _ = subject.data.collate(list(subject.data.test[: context.budget.batch_size]))
        return CostCall(subject.model, lambda m: m(inputs), int(inputs.attention_mask.sum()), "token")


@cached_reads()
def _load(task: type[TextTask], row: tuple[tuple[str, object], ...]) -> Splits:
    """The parts of a task, or of one row of a table of them: by value, so that all its objects share them."""
    parts = task(**dict(row)).parts()
    classes = len(parts.train.classes) or 1
    if classes != task.target.outputs:
        raise ValueError(f"{task.__name__} has {classes} outputs, its target says {task.target.outputs}")
    return Splits(*map(_examples, (parts.train, parts.val, parts.test)))


def _examples(part: LabelledTexts) -> Examples:
    return Examples(part.texts, part.targets)
