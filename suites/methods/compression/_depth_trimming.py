"""Base of the methods that make a model shallower: n layers, attentions or blocks go, by similarity or a control."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Literal, cast

import torch
from torch import nn

from sparsebench.models.compression.trimming.choice import BY_SIMILARITY, Choice, choose
from sparsebench.models.compression.trimming.dropped import Part
from sparsebench.models.compression.trimming.exhaustive import all_sets, best_set
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CALIBRATION_DATA
from ..moe._calibration import fingerprint
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add

_measured: dict[str, Mapping[int, float]] = {}
"""The last similarities of this process, by the hash of weights and data and what was measured: rows that drop more or
fewer parts of one model share them."""


@dataclass(frozen=True, kw_only=True)
class DepthTrimming(TunedMethod):
    """n parts of the model go, all at once: nothing is measured again in between."""

    part: ClassVar[Part]
    """What of a block goes."""
    may_repeat: ClassVar[bool] = True
    """Whether two seeds, of other calibration data, may well choose the same parts: read by the conformance battery."""

    n: int = 1
    """How many go."""
    choice: Literal["similarity", "reverse", "random", "first", "last", "oracle"] = "similarity"
    """Those that change least what they get, or a control: those that change it most ("reverse"), random ones, the
    first or the last ones, or those without which the task's loss on the calibration data is least ("oracle")."""
    oracle_sets: int = 300
    """How many sets of n parts the oracle may try, at one pass over the data each."""
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    """Type in which similarities are taken. The released code came to bfloat16 with many samples, in which near ones
    tie.
    """

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n={self.n} must be 0 or more")

    @property
    @abstractmethod
    def trait(self) -> str:
        """The trait of backbones that have such parts."""

    @abstractmethod
    def candidates(self, model: nn.Module) -> list[int]:
        """Indices of the blocks whose parts may go. Raises `ModelError` where there is none."""

    @abstractmethod
    def similarity(self, model: nn.Module, batches: Sequence[Any], candidates: Sequence[int]) -> Mapping[int, float]:
        """What `choose` is to decide by."""

    @abstractmethod
    def drop(self, model: nn.Module, chosen: Sequence[int]) -> object:
        """Take the parts of these blocks out, in place."""

    @property
    def needs(self) -> frozenset[str]:
        """Such parts, and calibration data where the choice looks at them."""
        looks = {CALIBRATION_DATA} if self.choice in (*BY_SIMILARITY, "oracle") else set()
        return frozenset({self.trait, *looks})

    @property
    def measured(self) -> str:
        """Options that `similarity` depends on."""
        return ""

    @property
    def dtype(self) -> torch.dtype:
        """`precision` as torch has it."""
        return getattr(torch, self.precision)

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Drop in place. A backbone that has too few such parts, or whose parts cannot go, is not applicable."""
        try:
            candidates = self.candidates(backbone)
            # n is checked before anything is measured.
            if self.choice == "oracle":
                self.sets(candidates)
            else:
                self.dropped(candidates, dict.fromkeys(candidates, 0.0), context)
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        similarity: Mapping[int, float] = {}
        if self.choice in BY_SIMILARITY and self.n > 0:
            similarity = self._similarities(backbone, candidates, context)
        chosen = self._chosen(backbone, candidates, similarity, context)
        sizes = Sizes(backbone)
        try:
            self.drop(backbone, chosen)
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        sizes.note(context, _findings(candidates, similarity, chosen))
        return backbone

    def dropped(self, candidates: Sequence[int], similarity: Mapping[int, float], context: Context) -> tuple[int, ...]:
        """Indices of the blocks whose parts go, by any choice but "oracle"."""
        return choose(candidates, self.n, similarity=similarity, **self.ways(context))

    def ways(self, context: Context) -> dict[str, Any]:
        """What `choose` is told in addition."""
        return {"choice": cast(Choice, self.choice), "generator": context.generator("depth-trimming")}

    def sets(self, candidates: Sequence[int]) -> list[tuple[int, ...]]:
        """What "oracle" tries."""
        return all_sets(candidates, self.n, self.oracle_sets)

    def _chosen(
        self, model: nn.Module, candidates: Sequence[int], similarity: Mapping[int, float], context: Context
    ) -> tuple[int, ...]:
        if self.choice != "oracle":
            return self.dropped(candidates, similarity or dict.fromkeys(candidates, 0.0), context)
        batches = context.batches()

        def loss() -> float:
            return fmean(float(context.loss(model, batch)) for batch in batches)

        training = model.training
        model.eval()
        try:
            chosen, _ = best_set(model, self.sets(candidates), self.part, loss)
        finally:
            model.train(training)
        return chosen

    def _similarities(self, model: nn.Module, candidates: Sequence[int], context: Context) -> Mapping[int, float]:
        batches = context.calibration()
        key = f"{fingerprint(model, batches)} {type(self).__name__} {self.measured} {self.precision} {candidates}"
        if key not in _measured:
            _measured.clear()
            _measured[key] = self.similarity(model, batches, candidates)
        return _measured[key]


def _findings(candidates: Sequence[int], similarity: Mapping[int, float], chosen: Sequence[int]) -> Blocks:
    """Over the blocks of the model as it was: 1 for each that went, and what was measured, if anything was."""
    blocks: Blocks = {}
    for index in candidates:
        add(blocks, index, dropped=[int(index in chosen)])
    for index, value in similarity.items():
        add(blocks, index, similarity=[value])
    return blocks
