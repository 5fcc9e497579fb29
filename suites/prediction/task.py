"""The protocol of every task that maps one input to one target vector: classify, regress, or tick several labels.

Train on the training part, look at the validation part at most, report the test part, last epoch.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sparsebench.reports.record import Costs

from ..contracts.context import Context, Target
from ..contracts.costs import Clock, measure_costs
from ..contracts.method import Method
from ..contracts.metrics import Scores, score
from ..contracts.task import LoadBackbone, Outcome, Setup, Task
from .data import Examples, Pairs, PredictionData, Splits, batch_rows, encode, subsample_train, targets_of
from .feature_extractor import FeatureExtractor, LinearHeadModel


class PredictionTask(Task):
    """Base of the prediction tasks; a subclass states `target`, the sources and `load`."""

    target: Target
    trains: ClassVar[bool] = True
    new_head: ClassVar[bool] = True

    @abstractmethod
    def load(self) -> Splits:
        """The fixed splits."""

    def score(self, outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Scores:
        """Metrics of a part, from outputs (N, outputs) in the targets' unit."""
        return score(outputs, targets, self.target, generator)

    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load and encode the splits, and put a fresh head on the backbone's body."""
        splits = subsample_train(self._limit(self.load(), context), context)
        body = load_backbone(context.generator("backbone-init"))
        if not isinstance(body, FeatureExtractor):
            raise TypeError(f"a backbone of a prediction task must be a FeatureExtractor, not {type(body).__name__}")
        model = LinearHeadModel(body, self.target.outputs, context.generator("head-init")).to(context.device)
        data = encode(body, splits, self.target, context.device)
        return Setup(model=model, data=data, context=self._fill(context, data))

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Load, encode, prepare, fit, evaluate, measure."""
        clock = Clock()
        setup = self.setup(load_backbone, context)
        data = setup.data
        context = setup.context
        clock.stop("load")
        model = method.prepare(setup.model, context)
        clock.stop("prepare")
        curves = method.fit(model, data, context)
        model = method.deploy(model).eval()
        clock.stop("fit")
        test = self._evaluate(model, data.test, data, context)
        val = self._evaluate(model, data.val, data, context)
        clock.stop("evaluate")
        costs = self._measure(model, data, context)
        clock.stop("measure")
        metrics = dict(test.metrics)
        for name, metric in val.metrics.items():
            metrics[f"val {name}"] = metric
        return Outcome(
            metrics=metrics,
            main_metric=test.main,
            costs=costs,
            examples=test.examples,
            times=clock.seconds,
            curves=curves,
        )

    def _limit(self, splits: Splits, context: Context) -> Splits:
        limit = context.budget.test_examples
        test = Examples(splits.test.inputs[:limit], splits.test.targets[:limit])
        return replace(splits, test=test)

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

        return replace(context, target=self.target, batches=batches, inputs=_inputs_of, loss=loss)

    def _evaluate(self, model: nn.Module, part: Pairs, data: PredictionData, context: Context) -> Scores:
        outputs = predict(model, part, data, context.budget.batch_size)
        targets = targets_of(part)
        generator = context.task_generator("bootstrap")
        return self.score(data.scale.undo(outputs), data.scale.undo(targets), generator)

    def _measure(self, model: nn.Module, data: PredictionData, context: Context) -> Costs:
        pairs = list(data.test[: context.budget.batch_size])
        inputs, _ = data.collate(pairs)
        return measure_costs(model, lambda m: m(inputs), len(pairs), data.body.unit)


def _inputs_of(batch: Any) -> Any:
    inputs, _ = batch
    return inputs


@torch.no_grad()
def predict(model: nn.Module, part: Pairs, data: PredictionData, batch_size: int) -> Tensor:
    """Outputs (N, outputs) of a model, or features (N, width) of its body: float32, on the CPU, in the order of `part`.

    The model is put in eval mode.
    """
    model.eval()
    rows: list[int] = []
    outputs = []
    for chunk in batch_rows(part, data.body, batch_size):
        inputs, _ = data.collate([part[row] for row in chunk])
        outputs.append(model(inputs).float().cpu())
        rows += chunk
    return torch.cat(outputs)[torch.tensor(rows).argsort()]


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
