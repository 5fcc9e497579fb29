"""A toy feature extractor, data and task for the tests of prediction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.context import Target
from sparsebench.suites.prediction.chosen import ChosenOnValidation
from sparsebench.suites.prediction.data import Examples, Splits
from sparsebench.suites.prediction.feature_extractor import FeatureExtractor
from sparsebench.suites.prediction.task import PredictionTask


class Rows(FeatureExtractor):
    """Vectors of four numbers through one layer with dropout."""

    unit = "row"

    def __init__(self, generator: torch.Generator, argument: str | None = None) -> None:
        super().__init__()
        self.width = 4
        self.layer, self.dropout = nn.Linear(4, 4), nn.Dropout(0.5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)

    def encode(self, raw: Sequence[Any]) -> list[Tensor]:
        return list(torch.as_tensor(np.asarray(raw), dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dropout(self.layer(inputs))


def splits(kind: str, seed: int = 0) -> Splits:
    rng = np.random.default_rng(seed)

    def part(count: int) -> Examples:
        x = rng.normal(size=(count, 4))
        if kind == "classification":
            return Examples(x, (x[:, 0] > 0).astype(np.int64))
        y = np.stack([x[:, 0], x[:, 1]], axis=1)
        return Examples(x, 300 + 50 * y if kind == "regression" else (y > 0).astype(float))

    return Splits(part(40), part(12), part(20))


class Chosen(ChosenOnValidation):
    """The protocol of VTAB-1K: forty rows to train on, twelve to choose on, twenty to test on."""

    version = "1"
    target = Target("classification", 2)

    def load(self) -> Splits:
        return splits("classification")


def make_task(kind: str, data: Splits | None = None) -> PredictionTask:
    class Toy(PredictionTask):
        version = "1"
        target = Target(kind, 2)  # type: ignore[arg-type]

        def load(self) -> Splits:
            return data or splits(kind)

    return Toy()
