"""The protocol of every task that maps one input to one target vector: classify, regress, or tick several labels.

Train on the training part, look at the validation part at most, report the test part, last epoch.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from sparsebench.models.counting import flops
from sparsebench.reports.records.record import Metric

from ..contracts.context import Context, Target
from ..contracts.method import Method
from ..contracts.metrics import Scores, score
from ..contracts.task import CostCall, LoadBackbone, Outcome, Setup, Task
from ..contracts.traits import CALIBRATION_DATA, FEATURE_VECTORS, FEATURES, TRAINING_DATA, VALIDATION_PART
from .data import (
    Examples,
    Pairs,
    PredictionData,
    Splits,
    batch_rows,
    encode,
    sample_rows,
    subsample_train,
    targets_of,
)
from .feature_extractor import FeatureExtractor, LinearHeadModel
from .look_ahead import AHEAD, look_ahead
from .passes import passes_of
from .watching import BEST, SPREAD, Watch, watched_metrics


class Predictor(NamedTuple):
    """A trained model and the encoded data that it is evaluated on."""

    model: nn.Module
    data: PredictionData


MAIN_METRICS = {"classification": "accuracy", "regression": "rmse", "multilabel": "roc_auc"}
"""What `contracts.metrics.score` scores each kind of target by."""


class PredictionTask(Task):
    """Base of the prediction tasks; a subclass states `target`, the sources and `load`."""

    target: Target
    gives: ClassVar[frozenset[str]] = frozenset({TRAINING_DATA, CALIBRATION_DATA, FEATURE_VECTORS, VALIDATION_PART})
    needs: ClassVar[frozenset[str]] = frozenset({FEATURES})
    watches: ClassVar[bool] = True
    rests: ClassVar[bool] = True
    ordered_test: ClassVar[bool] = False
    """Whether the test part comes in an order that says something of its examples, by class or by source: then
    `budget.test_examples` takes random ones of it, and not the first."""

    @property
    def part_metrics(self) -> tuple[str, ...]:
        """Names of the metrics of one part, the main one first."""
        return (MAIN_METRICS[self.target.kind],)

    @property
    def metric_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the test part, those of the validation part, then those of a training that is watched."""
        validation = [f"val {name}" for name in self.part_metrics]
        return *self.part_metrics, *validation, f"{BEST}{self.part_metrics[0]}", SPREAD

    @abstractmethod
    def load(self) -> Splits:
        """The fixed splits."""

    def parts_of(self, context: Context) -> Splits:
        """The splits of a cell; those of `load`, unless the task `splits_by_seed`."""
        return self.load()

    def score(self, outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Scores:
        """Metrics of a part, from outputs (N, outputs) in the targets' unit."""
        return score(outputs, targets, self.target, generator)

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load and encode the splits, and put a fresh head on the backbone's body. Raises TypeError for one without
        features.
        """
        splits = subsample_train(self._limit(self.parts_of(context), context), context)
        body = load_backbone(context.generator("backbone-init"))
        if not isinstance(body, FeatureExtractor):
            raise TypeError(f"a backbone of a prediction task must be a FeatureExtractor, not {type(body).__name__}")
        model = LinearHeadModel(body, self.target.outputs, context.generator("head-init")).to(context.device)
        data = encode(body, splits, self.target, context.device)
        return Setup(model=model, data=data, context=self._fill(context, data), backbone=body)

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As of any task; of a training that was watched, two more metrics."""
        outcome = super().run(chain, load_backbone, context)
        if not context.budget.watch:
            return outcome
        more = watched_metrics(outcome.curves, outcome.metrics[outcome.main_metric], outcome.main_metric, len(chain))
        return replace(outcome, metrics={**outcome.metrics, **more})

    def watched(self, model: nn.Module, setup: Setup, context: Context) -> Context:
        """Test scores and the spread of adapter weights after each epoch, as the budget asks for them, and the score of
        the validation part for those who ask for it.
        """
        asked = context.budget.watch

        def scored(part: Pairs) -> tuple[str, Metric]:
            found = self._scores(self.subject(model, setup), part, context)
            return found.main, found.metrics[found.main]

        def test_score() -> tuple[str, float]:
            name, metric = scored(setup.data.test)
            return name, metric.value

        context = replace(context, validate=lambda: scored(setup.data.val))
        if not asked:
            return context
        return replace(context, watch=Watch(model, test_score if "test" in asked else None, "adapters" in asked))

    def for_methods(self, data: PredictionData) -> PredictionData:
        """Without the test part."""
        return data.for_methods()

    def subject(self, model: nn.Module, setup: Setup) -> "Predictor":
        """The model with the encoded data."""
        return Predictor(model, setup.data)

    def evaluate(self, subject: "Predictor", context: Context) -> Scores:
        """Scores of the test part, and the metrics of the validation part as "val <name>"."""
        test = self._scores(subject, subject.data.test, context)
        val = self._scores(subject, subject.data.val, context)
        metrics = dict(test.metrics)
        for name, metric in val.metrics.items():
            metrics[f"val {name}"] = metric
        return replace(test, metrics=metrics)

    def cost_call(self, subject: "Predictor", context: Context) -> CostCall | None:
        """One forward pass over the first test examples."""
        pairs = list(subject.data.test[: context.budget.batch_size])
        inputs, _ = subject.data.collate(pairs)
        return CostCall(subject.model, lambda m: m(inputs), len(pairs), subject.data.body.unit)

    def _limit(self, splits: Splits, context: Context) -> Splits:
        limit = context.budget.test_examples
        test = splits.test
        if self.ordered_test:
            return replace(splits, test=test.take(sample_rows(len(test.targets), limit)))
        return replace(splits, test=Examples(test.inputs[:limit], test.targets[:limit]))

    def _fill(self, context: Context, data: PredictionData) -> Context:
        """The context with calibration batches: random training examples, the same for every method."""
        order = torch.randperm(len(data.train), generator=context.task_generator("calibration"))
        rows = order[: context.budget.calibration_examples].tolist()

        def batches() -> list[Any]:
            size = context.budget.batch_size
            found = []
            for start in range(0, len(rows), size):
                pairs = [data.train[row] for row in rows[start : start + size]]
                found.append(data.collate(pairs))
            return found

        def loss(model: nn.Module, batch: Any) -> Tensor:
            inputs, targets = batch
            return prediction_loss(model(inputs), targets, self.target)

        tokens = _tokens_of if data.body.padded else None
        return replace(context, target=self.target, batches=batches, inputs=_inputs_of, loss=loss, tokens=tokens)

    def _scores(self, subject: "Predictor", part: Pairs, context: Context) -> Scores:
        data = subject.data
        outputs = predict(subject.model, part, data, context.budget.batch_size)
        targets = targets_of(part)
        generator = context.task_generator("bootstrap")
        return self.score(data.scale.undo(outputs), data.scale.undo(targets), generator)


def _tokens_of(batch: Any) -> int:
    """Tokens of padded inputs, which carry their mask; 0 of features that were computed before training."""
    inputs, _ = batch
    mask = getattr(inputs, "attention_mask", None)
    return 0 if mask is None else int(mask.sum())


def _inputs_of(batch: Any) -> Any:
    inputs, _ = batch
    return inputs


@torch.no_grad()
def predict(model: nn.Module, part: Pairs, data: PredictionData, batch_size: int) -> Tensor:
    """Outputs (N, outputs) of a model, or features (N, width) of its body: float32, on the CPU, in the order of `part`.

    The model is put in eval mode.
    """
    model.eval()
    chunks = batch_rows(part, data.body, batch_size)
    rows = [row for chunk in chunks for row in chunk]

    def batch(chunk: list[int]) -> Any:
        inputs, _ = data.collate([part[row] for row in chunk])
        return inputs

    ahead = 0 if data.device.type == "cpu" else AHEAD  # the processor would compute both
    with _body_once(model, data) as run:
        outputs = [run(inputs).float().cpu() for inputs in look_ahead(chunks, batch, ahead)]
    return torch.cat(outputs)[torch.tensor(rows).argsort()]


@contextmanager
def _body_once(model: nn.Module, data: PredictionData) -> Iterator[Callable[[Any], Tensor]]:
    """The model, whose body computes nothing again that this cell has; a body that trains, or has no weights, does."""
    body = model.body if _is_head_on_body(model) else model
    weights = list(body.parameters())
    if not isinstance(body, FeatureExtractor) or not weights or any(weight.requires_grad for weight in weights):
        yield model
        return
    with passes_of(data.passes, body) as once:

        def run(inputs: Any) -> Tensor:
            (features,) = once("features", inputs, lambda: [body(inputs)])
            return features if body is model else model.get_submodule("head")(features)

        yield run


def _is_head_on_body(model: nn.Module) -> TypeGuard[LinearHeadModel]:
    """Whether a model is no more than its head on its body: neither hooks nor a forward of its own."""
    own = vars(model)
    return type(model) is LinearHeadModel and not (
        own["_forward_hooks"] or own["_forward_pre_hooks"] or "forward" in own
    )


def forward_flops(model: nn.Module, part: Pairs, data: PredictionData, batch_size: int) -> float:
    """Operations of one pass over a part: those of its first batch for each example, times the number of examples."""
    rows = batch_rows(part, data.body, batch_size)
    if not rows:
        return 0.0
    inputs, _ = data.collate([part[row] for row in rows[0]])
    model.eval()
    with passes_of(data.passes, model) as once:
        (counted,) = once("operations", inputs, lambda: [torch.tensor(flops(model, inputs))])
    return counted.item() / len(rows[0]) * len(part)


def prediction_loss(outputs: Tensor, targets: Tensor, target: Target) -> Tensor:
    """Mean cross-entropy, squared error, or binary cross-entropy over the known labels; 0 if all are missing (NaN)."""
    if target.kind == "classification":
        return nn.functional.cross_entropy(outputs, targets)
    known = ~torch.isnan(targets)
    if target.kind == "regression":
        loss = nn.functional.mse_loss(outputs[known], targets[known], reduction="sum")
    else:
        loss = nn.functional.binary_cross_entropy_with_logits(outputs[known], targets[known], reduction="sum")
    return loss / known.sum().clamp(min=1)
