"""What a mixture loses by REAP, layer by layer and as a whole, beside its measures before that."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.data.text.documents import documents
from sparsebench.data.text.domains import DOMAINS
from sparsebench.data.text.windows import token_bytes
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of

from ..bits_per_byte.task import window_bits
from ..language.task import cut
from ..small_models.byte_tokenizer import byte_tokenizer
from .measures import Measures, layer_measures
from .prediction import Point

FRACTIONS = (0.25, 0.5)
"""Of the experts of a mixture that go."""
WINDOWS, LENGTH, BATCH = 4, 512, 4
"""Windows of each domain, for calibration and for the loss; tokens of one; windows at once."""
Points = dict[str, list[Point]]
"""By what is cut: "layer 25 %" is one layer alone, "mixture 25 %" all layers."""


def text(part: str) -> Tensor:
    """Windows (N, LENGTH) of all seven domains, of "calibration" or "test" documents."""
    rows: list[list[int]] = []
    for domain in DOMAINS:
        rows += cut(byte_tokenizer(), documents(domain, part), LENGTH, WINDOWS)  # type: ignore[arg-type]
    return torch.tensor(rows)


def points_of(name: str, origin: str, model: nn.Module, calibration_NT: Tensor, test_NT: Tensor) -> Points:
    """Measure a mixture, cut it by REAP in every way, and note what each cut costs.

    Args:
        name: of the mixture.
        origin: what it was made from.
        model: the mixture, which stays as it is.
        calibration_NT: windows that decide which experts go.
        test_NT: windows that the loss is of.

    Returns:
        Points by kind.
    """
    batches: list[Any] = [{"input_ids": ids} for ids in calibration_NT.split(BATCH)]
    statistics = mixture_statistics(model, batches, all_outputs=True)
    sizes = [mixture.experts.num_experts for mixture in mixtures_of(model)]
    whole = bits_per_byte(model, test_NT)

    def loss(numbers: Sequence[int]) -> float:
        cut_model = copy.deepcopy(model)
        expert_drop(cut_model, statistics, numbers, score="reap")
        return bits_per_byte(cut_model, test_NT) - whole

    found: Points = {}
    for fraction, measures in layer_measures(model, batches, statistics, FRACTIONS).items():
        left = [size - round(fraction * size) for size in sizes]
        layers = found.setdefault(f"layer {fraction:.0%}", [])
        for place, own in enumerate(measures):
            numbers = [*sizes[:place], left[place], *sizes[place + 1 :]]
            layers.append(Point(name, origin, own, loss(numbers)))
        found[f"mixture {fraction:.0%}"] = [Point(name, origin, mean(measures), loss(left))]
    return found


def mean(layers: Sequence[Measures]) -> Measures:
    """Each measure of a mixture as the mean of those of its layers."""
    return {key: math.fsum(own[key] for own in layers) / len(layers) for key in layers[0]}


def bits_per_byte(model: nn.Module, ids_NT: Tensor) -> float:
    """Of all windows together."""
    size = sum(token_bytes(byte_tokenizer(), row[1:]) for row in ids_NT.tolist())
    return math.fsum(window_bits(model, ids_NT, BATCH)) / size
