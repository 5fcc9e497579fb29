"""The protocol of every task that maps one input to one target vector: classify, regress, or tick several labels.

Train on the training part, look at the validation part at most, report the test part, last epoch. A backbone here is a
`Predictor`: a body that gives one feature vector per example, and a linear head.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Anatomy, describe, register_describer, see_through
from sparsebench.reports.record import Costs

from ..contracts.context import Context, Target
from ..contracts.costs import Clock, measure_costs
from ..contracts.method import Method
from ..contracts.metrics import Scores, score
from ..contracts.task import LoadBackbone, Outcome, Setup, Task

Pairs = Sequence[tuple[Any, Tensor]]
"""Encoded inputs with their targets."""


@dataclass(frozen=True)
class Paired(Sequence[tuple[Any, Tensor]]):
    """Inputs side by side with targets (N,) or (N, T); an input is looked up only when it is asked for."""

    inputs: Sequence[Any]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Paired(self.inputs[index], self.targets[index])
        return self.inputs[index], self.targets[index]


class Body(nn.Module):
    """Maps raw inputs to features. Subclasses set `width` and `unit` and implement the three methods."""

    width: int
    unit: str
    """What one example is called: image, molecule or text."""
    padded: bool = False
    """Whether a batch is padded to its longest item (first dimension): what is only evaluated then goes by length."""

    def encode(self, raw: Sequence[Any]) -> Sequence[Any]:
        """Fixed preprocessing, done once before training (resize, normalise, build graphs)."""
        raise NotImplementedError(f"{type(self).__name__} must implement encode")

    def collate(self, items: list[Any]) -> Any:
        """Encoded items as one batch that has `.to(device)`."""
        return torch.stack(items)

    def forward(self, inputs: Any) -> Tensor:
        """Features of shape (B, width)."""
        raise NotImplementedError(f"{type(self).__name__} must implement forward")

    def stages(self) -> Sequence[Callable[[Any], Any]]:
        """Steps that make up `forward`, one after another; what a step gives, `split` takes apart."""
        return (self.forward,)

    def split(self, result: Any) -> list[Tensor]:
        """What a stage gives for a batch, example by example: here a tensor with examples first."""
        return list(result)

    def join(self, items: list[Tensor]) -> Any:
        """A batch for the next stage from what `split` gave. Maps lie channels last, where convolutions are faster."""
        batch = torch.stack(items)
        return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch


class Predictor(nn.Module):
    """A body and a linear head; outputs have shape (B, outputs)."""

    def __init__(self, body: Body, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.width, outputs)
        with torch.no_grad():
            self.head.weight.normal_(0.0, 0.02, generator=generator)
            self.head.bias.zero_()

    def forward(self, inputs: Any) -> Tensor:
        """Outputs of shape (B, outputs): logits, or standardised regression values."""
        return self.head(self.body(inputs))


def describe_predictor(model: Any) -> Anatomy:
    """The anatomy of a `Predictor`: that of its body, with its own head."""
    return replace(describe(model.body), model=model, head=see_through(model, "head"))


register_describer(Predictor, describe_predictor)


@dataclass(frozen=True)
class Examples:
    """Raw inputs and their targets: (N,) int64 class numbers, or (N, T) floats with NaN for a missing label."""

    inputs: Sequence[Any]
    targets: np.ndarray


@dataclass(frozen=True)
class Splits:
    """The three parts of a task, fixed by its version."""

    train: Examples
    val: Examples
    test: Examples


@dataclass(frozen=True)
class Scale:
    """Standardisation of regression targets by the mean and deviation of the training part."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, targets: np.ndarray, target: Target) -> "Scale":
        """The scale for `target`; the identity unless it is a regression."""
        if target.kind != "regression":
            return cls(torch.tensor(0.0), torch.tensor(1.0))
        mean, deviation = np.nanmean(targets, axis=0), np.nanstd(targets, axis=0)
        deviation = np.where(deviation > 0, deviation, 1.0)  # a constant target is only centred
        return cls(torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32))

    def apply(self, targets: Tensor) -> Tensor:
        """Standardised targets; class numbers pass through."""
        return targets if targets.dtype == torch.int64 else (targets - self.mean) / self.deviation

    def undo(self, values: Tensor) -> Tensor:
        """Back to the original unit."""
        return values if values.dtype == torch.int64 else values * self.deviation + self.mean


@dataclass(frozen=True)
class PredictionData:
    """Encoded examples as (input, target) pairs, in a fixed order, and how to batch them."""

    body: Body
    device: torch.device
    scale: Scale
    train: Pairs
    val: Pairs
    test: Pairs

    @property
    def lengths(self) -> list[int] | None:
        """Length of each training input where batches are padded to the longest, else None."""
        return [len(self.train[row][0]) for row in range(len(self.train))] if self.body.padded else None

    def collate(self, pairs: list[tuple[Any, Tensor]]) -> tuple[Any, Tensor]:
        """A batch: (inputs, targets), both on the cell's device."""
        inputs = self.body.collate([item for item, _ in pairs])
        return inputs.to(self.device), torch.stack([target for _, target in pairs]).to(self.device)


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
        splits = few_labels(self._limit(self.load(), context), context)
        body = load_backbone(context.generator("backbone-init"))
        if not isinstance(body, Body):
            raise TypeError(f"a backbone of a prediction task must be a Body, not {type(body).__name__}")
        model = Predictor(body, self.target.outputs, context.generator("head-init")).to(context.device)
        data = encode(body, splits, self.target, context.device)
        return Setup(model=model, data=data, context=self._fill(context, data))

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Load, encode, prepare, fit, evaluate, measure."""
        clock = Clock()
        setup = self.setup(load_backbone, context)
        data, context = setup.data, setup.context
        clock.stop("load")
        model = method.prepare(setup.model, context)
        clock.stop("prepare")
        curves = method.fit(model, data, context)
        model = method.deploy(model).eval()
        clock.stop("fit")
        test, val = (self._evaluate(model, part, data, context) for part in (data.test, data.val))
        clock.stop("evaluate")
        costs = self._measure(model, data, context)
        clock.stop("measure")
        metrics = {**test.metrics, **{f"val {name}": metric for name, metric in val.metrics.items()}}
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
        count = min(context.budget.calibration_examples, len(data.train))
        order = torch.randperm(len(data.train), generator=context.task_generator("calibration"))[:count].tolist()
        size = context.budget.batch_size
        chunks = [[data.train[i] for i in order[start : start + size]] for start in range(0, count, size)]
        return replace(
            context,
            target=self.target,
            batches=lambda: [data.collate(chunk) for chunk in chunks],
            inputs=lambda batch: batch[0],
            loss=lambda model, batch: prediction_loss(model(batch[0]), batch[1], self.target),
        )

    def _evaluate(self, model: nn.Module, part: Pairs, data: PredictionData, context: Context) -> Scores:
        outputs = predict(model, part, data, context.budget.batch_size)
        targets = targets_of(part)
        generator = context.task_generator("bootstrap")
        return self.score(data.scale.undo(outputs), data.scale.undo(targets), generator)

    def _measure(self, model: nn.Module, data: PredictionData, context: Context) -> Costs:
        pairs = list(data.test[: context.budget.batch_size])
        inputs, _ = data.collate(pairs)
        return measure_costs(model, lambda m: m(inputs), len(pairs), data.body.unit)


def few_labels(splits: Splits, context: Context) -> Splits:
    """`splits` with `budget.train_share` of the training part, at least one example, in the order they had."""
    train, share = splits.train, context.budget.train_share
    if share == 1:
        return splits
    count = max(1, round(share * len(train.targets)))
    order = torch.randperm(len(train.targets), generator=context.task_generator("train-subset"))
    rows = order[:count].sort().values.numpy()
    raw: Any = train.inputs
    inputs: Any = raw[rows] if isinstance(raw, np.ndarray) else [raw[row] for row in rows]
    return replace(splits, train=Examples(inputs, train.targets[rows]))


def targets_of(part: Pairs) -> Tensor:
    """All targets of a part: (N,) class numbers or (N, T)."""
    return part.targets if isinstance(part, Paired) else torch.stack([target for _, target in part])


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


def batch_rows(part: Pairs, body: Body, batch_size: int) -> list[list[int]]:
    """Row numbers of the batches that a part is evaluated in: in order, or by length where batches are padded."""
    rows = list(range(len(part)))
    if body.padded:
        rows.sort(key=lambda row: len(part[row][0]))
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def prediction_loss(outputs: Tensor, targets: Tensor, target: Target) -> Tensor:
    """Mean cross-entropy, squared error, or binary cross-entropy over the known labels; 0 if all are missing (NaN)."""
    if target.kind == "classification":
        return nn.functional.cross_entropy(outputs, targets)
    known = ~torch.isnan(targets)
    regression = target.kind == "regression"
    loss = nn.functional.mse_loss if regression else nn.functional.binary_cross_entropy_with_logits
    return loss(outputs[known], targets[known], reduction="sum") / known.sum().clamp(min=1)


def encode(body: Body, splits: Splits, target: Target, device: torch.device) -> PredictionData:
    """Encode the inputs of all parts and standardise regression targets by the training part."""
    scale = Scale.of(splits.train.targets, target)

    def pairs(part: Examples) -> Paired:
        targets = torch.as_tensor(part.targets)
        targets = targets if targets.dtype == torch.int64 else scale.apply(targets.float())
        inputs = body.encode(part.inputs)
        if len(inputs) != len(targets):
            raise ValueError(f"{len(inputs)} inputs, but {len(targets)} targets")
        return Paired(inputs, targets)

    return PredictionData(body, device, scale, pairs(splits.train), pairs(splits.val), pairs(splits.test))
