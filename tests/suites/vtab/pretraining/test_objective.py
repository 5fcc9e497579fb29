"""The losses and scores of a pre-training, by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.suites.vtab.pretraining.objective import Objective
from sparsebench.suites.vtab.pretraining.sources import Source
from sparsebench.suites.vtab.pretraining.stream import Batch, ImageStream

COUNTS = {"fractals": 4, "contours": 5, "photographs": 7}
START = {"fractals": 0, "contours": 6 + 4, "photographs": 6 + 4 + 8 + 5}
"""First output of each source: categories and placement of those before it."""
CATEGORIES = {"fractals": 6, "contours": 8, "photographs": 10}


@pytest.fixture
def batch(learnt: list[Source]) -> Batch:
    return ImageStream(learnt, COUNTS, 0).draw()


class Fixed:
    """A model whose outputs are drawn once, whatever the images."""

    def __init__(self, outputs: int) -> None:
        self.outputs = torch.randn(16, outputs, generator=torch.Generator().manual_seed(0))
        self.given = 0

    def __call__(self, images: Tensor) -> Tensor:
        rows = self.outputs[self.given : self.given + len(images)]
        self.given += len(images)
        return rows


def parts_of(outputs: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    found = {}
    for (name, start), rows in zip(START.items(), outputs.split(list(COUNTS.values())), strict=True):
        middle = start + CATEGORIES[name]
        width = {"fractals": 4, "contours": 5, "photographs": 0}[name]
        found[name] = (rows[:, start:middle], rows[:, middle : middle + width])
    return found


def test_losses_by_hand(learnt: list[Source], batch: Batch) -> None:
    objective = Objective(learnt)
    assert objective.outputs == START["photographs"] + 10
    model = Fixed(objective.outputs)
    losses = objective(model, batch)
    for name, (logits, placement) in parts_of(model.outputs).items():
        labels = batch[name].labels.tolist()
        category = [float(row.exp().sum().log() - row[label]) for row, label in zip(logits, labels, strict=True)]
        assert losses[f"{name} category"].item() == pytest.approx(sum(category) / 16, rel=1e-5)
        if name == "photographs":
            assert f"{name} placement" not in losses
        else:
            error = float((placement - batch[name].placement).square().sum()) / 16
            assert losses[f"{name} placement"].item() == pytest.approx(error, rel=1e-5)


def test_scores_by_hand(learnt: list[Source], batch: Batch) -> None:
    objective = Objective(learnt)
    model = Fixed(objective.outputs)
    scores = objective.scores(model, batch, at_once=3)
    for name, (logits, placement) in parts_of(model.outputs).items():
        right = (logits.argmax(-1) == batch[name].labels).float().mean().item()
        assert scores[name]["accuracy"] == pytest.approx(right, abs=1e-4)
        assert scores[name]["images"] == COUNTS[name]
        if name != "photographs":
            error = (placement - batch[name].placement).square().sum(-1).mean().item()
            assert scores[name]["placement error"] == pytest.approx(error, abs=1e-4)


def test_a_source_moves_only_its_own_outputs(learnt: list[Source], batch: Batch) -> None:
    objective = Objective(learnt)
    outputs = torch.zeros(16, objective.outputs, requires_grad=True)
    model: Any = lambda images: outputs  # noqa: E731
    objective(model, batch)["contours category"].backward()
    gradient = outputs.grad
    assert gradient is not None
    moved = gradient.abs().sum(0).nonzero().flatten().tolist()
    assert moved == list(range(START["contours"], START["contours"] + 8))
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == list(range(4, 9))
