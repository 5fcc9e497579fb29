"""What the methods that prune weights of experts have in common: where, how many, what is said of it."""

import warnings
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.linear_map import LinearMap, Part
from sparsebench.models.compression.slimming.pruning import Criterion, PruningConfig, prune
from sparsebench.models.compression.slimming.report import PruningReport
from sparsebench.reports.compression.notes import ZEROS

from ...contracts.context import Context
from ...contracts.method import Curves
from ...training.callbacks import Callback
from ...training.kept_zeros import KeptZeros
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add
from ._linear_parts import check_has_parts, traits_for


@dataclass(frozen=True, kw_only=True)
class PruningMethod(TunedMethod):
    """Weights of the experts are set to 0; the matrices stay as large as they were, so that no byte is saved.

    What this row trains keeps its zeros. A later link that trains moves them, too, unless it is `tune` with
    `keep_zeros`; the curve "zeros by block" says how many there are.
    """

    sparsity: float = 0.5
    """Share of the weights that go, in [0, 1)."""
    pattern: str = "unstructured"
    """Where: "unstructured" over each matrix, "row" over each output, "2:4", "4:8" in each group of inputs."""
    parts: tuple[Part, ...] = ("experts",)
    """What is pruned: "experts", "shared", "router", "attention", "ffn" (dense FFNs)."""

    def __post_init__(self) -> None:
        self.pruning()

    @abstractmethod
    def pruning(self) -> PruningConfig:
        """The settings. Raises `ModelError` for those that cannot be."""

    @property
    def needs(self) -> frozenset[str]:
        """The parts to be pruned, and calibration data where the criterion looks at inputs."""
        return traits_for(self.parts, looks_at_data=self.pruning().method != "magnitude")

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Prune in place; maps that too few tokens reached are a warning, which the record keeps."""
        config = self.pruning()
        check_has_parts(backbone, self.parts)
        batches: list[Any] = []
        if config.method != "magnitude":
            batches = context.calibration()
        sizes = Sizes(backbone)
        report = prune(backbone, config, batches)
        sizes.note(context, _findings(linear_maps(backbone, self.parts), report))
        if report.fallen_back:
            warnings.warn(str(report), stacklevel=2)
        return backbone

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """The zeros stay."""
        return (*super().callbacks(context), KeptZeros())

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Train as the task says, and count the zeros that are left."""
        curves = super().fit(model, data, context)
        return {**curves, "zeros by block": _zeros(model, self.parts)}

    def _settings(self, method: Criterion, **fields: Any) -> PruningConfig:
        return PruningConfig(method=method, pattern=self.pattern, sparsity=self.sparsity, parts=self.parts, **fields)


def _zeros(model: nn.Module, parts: tuple[Part, ...]) -> list[tuple[float, float]]:
    """(block, share of the weights that are 0) of each block that has such parts."""
    zeros: dict[int, int] = {}
    entries: dict[int, int] = {}
    for one in linear_maps(model, parts):
        weight = one.weight
        zeros[one.block] = zeros.get(one.block, 0) + int((weight == 0).sum())
        entries[one.block] = entries.get(one.block, 0) + weight.numel()
    return [(float(block), zeros[block] / entries[block]) for block in entries]


def _findings(maps: Iterable[LinearMap], report: PruningReport) -> Blocks:
    """Zeros of each pruned matrix, and those for which there were too few tokens."""
    places = {one.name: one for one in maps}
    blocks: Blocks = {}
    for linear in report.linears:
        one = places[linear.name]
        add(blocks, one.block, **{ZEROS + one.role: [linear.zeros / linear.entries]})
    for linear in report.fallen_back:
        one = places[linear.name]
        add(blocks, one.block, by_magnitude=[one.expert or 0])
    return blocks
