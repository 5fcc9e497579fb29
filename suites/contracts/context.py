"""What a cell hands to its methods and its task: seeds, budget, precision, calibration data, further backbones."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparsebench.reports.records.record import Metric

from .budget import Budget
from .seeds import derive_seed
from .training_costs import TrainingLedger

CPU = torch.device("cpu")

LoadBackbone = Callable[[torch.Generator], Any]
"""Loads a backbone, whatever its suite defines: a `FeatureExtractor` for prediction, a `CausalLM` for language. The
generator is for random initial weights."""


@dataclass(frozen=True)
class Target:
    """What the model has to put out: `outputs` is the number of classes, or of regressed or binary columns."""

    kind: Literal["next-token", "next-edge", "classification", "regression", "multilabel"]
    outputs: int

    @property
    def generates(self) -> bool:
        """Whether the model writes text or molecules, with a head of its own, and gets no new one."""
        return self.kind in ("next-token", "next-edge")


def _no_calibration() -> Sequence[Any]:
    return ()


def _same(batch: object) -> Any:
    return batch


def _no_loss(model: nn.Module, batch: object) -> Tensor:
    raise TypeError("this task gives its methods no loss: it does not train")


def _no_further_backbone(name: str) -> "Setup":
    raise TypeError(f"no task has been set up that could load {name!r}: call `Task.setup` first")


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything around one cell that is not the method, the task or the backbone.

    `Task.setup` fills `target`, `batches`, `inputs`, `loss`, `trains` and `load_backbone`; the cell gives the rest.
    """

    suite: str
    task: str
    seed: int
    """The replicate: 0, 1, 2, ..."""
    budget: Budget = field(default_factory=Budget)
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    folder: Path | None = None
    """Where the cell keeps what it needs to go on after a stop (checkpoints of its trainings); None keeps nothing."""
    target: Target = Target("classification", 2)
    batches: Callable[[], Sequence[Any]] = _no_calibration
    """Calibration batches, drawn from the training side only, as `loss` takes them."""
    inputs: Callable[[Any], Any] = _same
    """The part of a calibration batch that the model itself is called with: a mapping is passed as keywords."""
    loss: Callable[[nn.Module, Any], Tensor] = _no_loss
    """Scalar mean loss of a model on one batch."""
    tokens: Callable[[Any], int] | None = None
    """Tokens of a batch as `loss` takes it, padding not counted; None where a task has no tokens to count."""
    trains: bool = False
    """Whether the task gives training data."""
    further: Mapping[str, LoadBackbone] = field(default_factory=dict)
    """Loaders of the further backbones that the methods named (`Method.backbones`)."""
    load_backbone: Callable[[str], "Setup"] = _no_further_backbone
    """One of them, set up for this task as the cell's own backbone is: `.model` with a head where the task puts one on,
    `.data` with the same raw examples in the same order, encoded as this backbone encodes (its own tokenizer or image
    size), and `.context` with `loss` and `batches` for it. `suites/training/views.py` trains on both at once."""
    watch: Callable[[Any], Mapping[str, float]] | None = None
    """Values that the training loop notes as curves after each epoch, of the cell's own model as it is by then; they
    have no effect on training. None where the budget does not ask for it."""
    validate: Callable[[], tuple[str, Metric]] | None = None
    """Name and value of the main metric of the validation part, with the cell's own model as it is; has no effect on
    training. None where the task has no such part."""
    ledger: TrainingLedger = field(default_factory=TrainingLedger)
    """Where training notes what it took."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What `note` was given, for `Record.details`."""
    link: str = ""
    """What names of notes and curves begin with: "2. " for the second link of a chain, nothing where there is one."""

    def note(self, name: str, values: Any) -> None:
        """Put what a method found into the record: `Record.details[name]`, of a chain's second link `["2. " + name]`.

        What goes along with training, step by step, is a curve instead (what `fit` returns). A later note of the same
        name, by the same link, takes the place of the earlier one, as a method that prepares again makes another model.

        Args:
            name: of the entry, as the panel that shows it knows it.
            values: JSON: mappings, sequences, texts, finite numbers, true, false and null; a copy is kept.

        Raises:
            ValueError: `values` is not JSON.
        """
        try:
            self.notes[self.link + name] = json.loads(json.dumps(values, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"note {name!r} holds what JSON cannot say: {error}") from error

    def generator(self, axis: str) -> torch.Generator:
        """Random numbers that are the same in every task of this seed (say, a neuron split).

        Args:
            axis: names what they are for; the method is never part of the seed, so that methods are compared on the
                same draws.
        """
        return torch.Generator().manual_seed(derive_seed(self.suite, self.seed, axis))

    def task_generator(self, axis: str) -> torch.Generator:
        """Random numbers that are the same for every method in this task and seed (say, the data order).

        Args:
            axis: names what they are for.
        """
        return torch.Generator().manual_seed(derive_seed(self.suite, self.task, self.seed, axis))

    def outputs(self, model: nn.Module, batch: Any) -> Tensor:
        """What the model puts out for a calibration batch.

        Args:
            model: a model of the task.
            batch: one of `batches()`.

        Returns:
            Logits or regression values, (B, outputs) or (B, L, V).
        """
        inputs = self.inputs(batch)
        if isinstance(inputs, Mapping):
            result = model(**inputs)
        else:
            result = model(inputs)
        if isinstance(result, Tensor):
            return result
        return result.logits

    def calibration(self) -> list[Any]:
        """Model inputs of the calibration batches, without targets."""
        return [self.inputs(batch) for batch in self.batches()]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A task ready for a method: the model, the data for `Method.fit`, the filled context, the backbone as loaded."""

    model: nn.Module
    data: Any
    context: Context
    backbone: Any = None
