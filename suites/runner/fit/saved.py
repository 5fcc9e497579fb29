"""A fitted row as two files: `fit.json`, which says what it is, and `model.safetensors`, which has all of its tensors.

Opened, the row's backbone is loaded (from a copy beside them, where it is of the user's files), its methods prepare and
deploy it as they did, on two made-up examples, and every tensor is then exchanged for the saved one. `save` opens what
it wrote and compares outputs; a row for which that does not give the same is refused.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.data.errors import reason_of
from sparsebench.data.own.values import Goal
from sparsebench.reports.records.record import CellInfo, Link

from ...contracts.budget import Budget
from ...contracts.context import Context, Target
from ...contracts.task import Task
from ...prediction.data import Examples, PairedDataset, PredictionData, Splits, TargetScaler
from ...prediction.feature_extractor import FeatureExtractor, LinearHeadModel
from ...prediction.task import PredictionTask, Predictor, predict
from ..discovery.loading import backbone_loader, load_parts
from ..discovery.parts import parts_of
from ..discovery.validation import build
from ..errors import UsageError
from .kept_backbones import own_name

DESCRIPTION = "fit.json"
WEIGHTS = "model.safetensors"
SCHEMA = "sparsebench/fit/1"
CHUNK = 64
"""Rows that go through the model at once."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """All of a fitted row but its tensors; `cell` has the options that were chosen."""

    schema: str = SCHEMA
    version: str
    kind: Literal["images", "text", "molecules", "conversations"]
    cell: dict[str, Any]
    goal: Goal | Literal["their answers"]
    classes: list[str]
    targets: list[str]
    """Names of the predicted columns, or of the label."""
    input: str = ""
    """Column of the inputs; empty for images."""
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    recommendation: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    """Backbones whose files lie in the folder (`kept_backbones.py`)."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or (self.mean and len(self.mean) != len(self.targets)):
            raise ValueError("mean and std must have a number for each of the targets, or none")

    @property
    def outputs(self) -> int:
        """Of the model."""
        return len(self.classes) or len(self.targets)

    @property
    def target(self) -> Target:
        """What the model puts out; of a row that learnt answers, nothing of this kind."""
        assert self.goal != "their answers"
        return Target(self.goal, self.outputs)

    @property
    def scale(self) -> TargetScaler:
        """From the model's outputs to the unit of the targets, and back."""
        if not self.mean:
            return TargetScaler(torch.tensor(0.0), torch.tensor(1.0))
        return TargetScaler(torch.tensor(self.mean), torch.tensor(self.std))


@dataclass(frozen=True)
class Fitted:
    """A fitted row that predicts."""

    about: Description
    model: nn.Module
    body: FeatureExtractor

    def outputs(self, inputs: Sequence[Any]) -> Tensor:
        """Logits, or values in the targets' unit, float32 (N, outputs), of raw inputs."""
        items = self.body.encode(inputs)
        none = PairedDataset([], torch.zeros(0))
        data = PredictionData(self.body, torch.device("cpu"), self.about.scale, none, none, none)
        part = PairedDataset(items, torch.zeros(len(inputs)))
        return self.about.scale.undo(predict(self.model, part, data, CHUNK))


def save(about: Description, subject: Predictor, inputs: Sequence[Any], folder: Path) -> None:
    """Write a fitted row into a folder that is there.

    Args:
        about: what it is.
        subject: the trained model.
        inputs: raw inputs on which the model and what is read back must agree.
        folder: where to.

    Raises:
        UsageError: the disk is full, or what is read back is another model.
    """
    write(about, subject.model, folder)
    expected = Fitted(about, subject.model, subject.data.body).outputs(inputs)
    found = open_fitted(folder).outputs(inputs)
    if not torch.equal(found, expected):
        furthest = (found - expected).abs().max().item()
        raise UsageError(f"{about.cell['label']}: what was saved gives other outputs (up to {furthest:.3g} apart)")


def write(about: Description, model: nn.Module, folder: Path) -> None:
    """Write the two files into a folder that is there; the model is then on the processor.

    Raises:
        UsageError: the disk is full.
    """
    model.cpu()
    state = {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}
    try:
        save_file(state, folder / WEIGHTS)
    except SafetensorError as error:
        raise UsageError(f"{folder / WEIGHTS} cannot be written: {error}") from error
    (folder / DESCRIPTION).write_text(json.dumps(asdict(about), indent=1, allow_nan=False), encoding="utf-8")


def open_fitted(folder: Path) -> Fitted:
    """A fitted row as `save` wrote it. Raises `UsageError` for a folder without one, or one that does not fit."""
    about = read_description(folder)
    model, backbone = rebuilt(about, _MadeUp(about), folder)
    body = model.body if isinstance(model, LinearHeadModel) else backbone
    return Fitted(about, model, body)


def rebuilt(about: Description, task: Task, folder: Path) -> tuple[nn.Module, Any]:
    """The model of a fitted row with its saved tensors, in eval mode, and its backbone as loaded.

    Args:
        about: what `fit.json` says.
        task: on made-up data, for methods that look at some while they prepare a model.
        folder: of the fitted row.

    Returns:
        Model and backbone.

    Raises:
        UsageError: a backbone that cannot be loaded, or tensors that are not those of the row.
    """
    info = _cell(about, folder / DESCRIPTION)
    parts = parts_of(info)
    loaded = load_parts(parts, info.links)
    own = {name: backbone_loader(entry, own_name(name, about.kept, folder)) for entry, name in parts.backbones}
    context = Context(
        suite=info.suite,
        task=info.task,
        seed=info.seed,
        budget=build(Budget, info.budget, f"{folder / DESCRIPTION}, budget"),
        further={name: own[name] for name in info.further_backbones},
    )

    def backbone(generator: torch.Generator) -> Any:
        try:
            return own[info.backbone](generator)
        except ValueError as error:  # a file of weights that it names is not there, say
            raise UsageError(f"{folder}: its backbone {info.backbone} cannot be loaded: {error}") from error

    setup = task.setup(backbone, context, loaded.chain)
    model = setup.model
    for method in loaded.chain:
        model = method.deploy(method.prepare(model, setup.context))
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"{folder / WEIGHTS} is not what {DESCRIPTION} says: {reason_of(error)}") from None
    return model.eval(), setup.backbone


def read_description(folder: Path) -> Description:
    """What `fit.json` says. Raises `UsageError`."""
    file = folder / DESCRIPTION
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder} holds no fitted row: `sparsebench fit DATA {folder}` makes one") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UsageError(f"{file} is not of the schema {SCHEMA}")
    return build(Description, found, str(file))


def _cell(about: Description, file: Path) -> CellInfo:
    try:
        then = [Link(**link) for link in about.cell["then"]]
        return CellInfo(**{**about.cell, "then": then})
    except (KeyError, TypeError) as error:
        raise UsageError(f"{file}: its cell is none: {error}") from None


EXAMPLES: dict[str, Any] = {
    "images": [np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)],
    "text": ["one word", "another word"],
    "molecules": ["CCO", "c1ccccc1"],
}
"""Two inputs of each kind: what prepares a model looks at some."""


class _MadeUp(PredictionTask):
    """The task of a fitted row on two made-up examples, for methods that look at data while they prepare a model."""

    def __init__(self, about: Description) -> None:
        self.target = about.target
        self._inputs = EXAMPLES[about.kind]

    def load(self) -> Splits:
        """Two examples in each part."""
        if self.target.kind == "classification":
            targets = np.array([0, 1])
        else:
            targets = np.tile(np.array([[0.0], [1.0]]), (1, self.target.outputs))
        part = Examples(self._inputs, targets)
        return Splits(part, part, part)
