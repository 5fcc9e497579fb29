"""Weights change: zeros, fewer bits, or what a search finds within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.linear_map import PARTS, Part, check_parts
from sparsebench.models.compression.linear.names import Names
from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, quantise
from sparsebench.models.compression.quantisation.targets import targets_of
from sparsebench.models.compression.quantisation.transform import QuantisationMethod
from sparsebench.models.compression.search import Budget, SearchConfig, SearchSpace, search
from sparsebench.models.compression.search.recipe import SEARCHED
from sparsebench.models.compression.search.searching import Rounding
from sparsebench.models.compression.slimming.pruning import Criterion, PruningConfig, prune
from sparsebench.models.compression.trimming.experts.scores import Score
from sparsebench.models.errors import ModelError

from .._work import Work

GROUPS = (128, 64, 32)
"""Groups of columns that engines take, the largest first."""
Change = Literal["experts", "width", "layers", "bits"]


def parts_of(model: Any, parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts that are meant: those that are named, else all that the model has but its routers.

    Args:
        model: a model whose anatomy is known.
        parts: names of parts; empty: the default.
    """
    if parts:
        return tuple(parts)
    found: list[Part] = []
    for part in PARTS:
        try:
            linear_maps(model, (part,))
        except ModelError:  # it has none
            continue
        if part != "router":
            found.append(part)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Prune:
    """Weights become 0, which saves no byte here and is not undone by healing.

    Attributes:
        sparsity: the fraction of zeros, in [0, 1); None: what the pattern says, else a half.
        method: "wanda", "sparsegpt" or "magnitude".
        pattern: "unstructured", "row", "2:4", "4:8"; None: the method's own.
        parts: "experts", "shared", "attention", "ffn", "router"; empty: all of them but the router.
        targets: regular expressions on the names of linear maps, as `model.layers.0.mlp.experts[0].gate`; empty: all.
        ignore: regular expressions on names of maps that stay as they are.
    """

    sparsity: float | None = None
    method: Criterion = "wanda"
    pattern: str | None = None
    parts: tuple[Part, ...] = ()
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_parts(self.parts)
        self._config(("experts",))

    def _config(self, parts: tuple[Part, ...]) -> PruningConfig:
        return PruningConfig(
            method=self.method,
            pattern=self.pattern,
            sparsity=self.sparsity,
            parts=parts,
            targets=self.targets,
            ignore=self.ignore,
        )

    def apply(self, work: Work) -> str:
        """Prune in place, block by block on calibration text."""
        batches = [] if self.method == "magnitude" else work.batches()
        return str(prune(work.model, self._config(parts_of(work.model, self.parts)), batches, undo=False))


@dataclass(frozen=True, kw_only=True)
class Quantise:
    """Weights on a grid of integers, in packed storage.

    Attributes:
        bits: of a weight, 2 to 8.
        method: "gptq", "awq" or "rtn" (rounding to the nearest, without data).
        group_size: columns that share a scale; "row": those of a whole row; None: the largest of 128, 64 and 32 that
            divides the columns of all matrices that are meant.
        zero_points: each group has a zero point, as AWQ's paper has it; no other engine reads those of experts.
        parts: as of `Prune`.
        targets: regular expressions on the names of parameters, as `model.layers.0.mlp.experts.gate_up`; empty: all.
        ignore: regular expressions on names of parameters that stay as they are.
    """

    bits: int = 4
    method: QuantisationMethod = "gptq"
    group_size: int | Literal["row"] | None = None
    zero_points: bool = False
    parts: tuple[Part, ...] = ()
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_parts(self.parts)
        self._config(self.group_size or GROUPS[0], ("experts",))

    def _config(self, group_size: int | Literal["row"], parts: tuple[Part, ...]) -> QuantiseConfig:
        size = None if group_size == "row" else group_size
        return QuantiseConfig(
            method=self.method,
            grid=Grid(bits=self.bits, group_size=size, symmetric=not self.zero_points),
            parts=parts,
            targets=self.targets,
            ignore=self.ignore,
        )

    def apply(self, work: Work) -> str:
        """Round in place, block by block on calibration text."""
        parts = parts_of(work.model, self.parts)
        columns = self._columns(work.model, parts)
        size = self.group_size or _group_size(columns)
        if isinstance(size, int) and all(count % size for count in columns):
            raise ModelError(
                f"group_size={size} divides none of the numbers of columns {', '.join(map(str, columns))}: take "
                f"{_group_size(columns)}, 'row', or leave it out"
            )
        batches = [] if self.method == "rtn" else work.batches()
        report = quantise(work.model, self._config(size, parts), batches)
        grid = "whole rows" if size == "row" else f"groups of {size}"
        return f"{report.summary()}; {self.bits} bits in {grid}"

    def _columns(self, model: Any, parts: tuple[Part, ...]) -> list[int]:
        """The different numbers of columns of the matrices that are meant."""
        targets = targets_of(describe(model), parts)
        chosen = Names(self.targets, self.ignore).chosen([target.path for target in targets], "parameters")
        meant = [target for target, one in zip(targets, chosen, strict=True) if one]
        return sorted({target.weight.shape[-1] for target in meant})


def _group_size(columns: Sequence[int]) -> int | Literal["row"]:
    for size in GROUPS:
        if all(count % size == 0 for count in columns):
            return size
    return "row"


@dataclass(frozen=True, kw_only=True)
class Search:
    """Experts, their width, layers and bits of each mixture, as a search finds them within a budget.

    What it finds is made on a copy and compared on held-out batches with the uniform recipes of the same space; the
    nearest to the model is taken.

    Attributes:
        bytes: fraction of the stored bytes that may stay, in (0, 1].
        active: fraction of the parameters at work on a token instead.
        change: what may change: "experts", "width", "layers", "bits".
        score: what ranks experts.
        method: how weights are rounded, "gptq" or "rtn".
        group_size: columns that share a scale.
    """

    bytes: float | None = None
    active: float | None = None
    change: tuple[Change, ...] = get_args(Change)
    score: Score = "reap"
    method: Rounding = "gptq"
    group_size: int = 64

    def __post_init__(self) -> None:
        self._config()

    def _config(self) -> SearchConfig:
        full = SearchSpace()
        space = SearchSpace(
            experts=full.experts if "experts" in self.change else (),
            widths=full.widths if "width" in self.change else (),
            bits=full.bits if "bits" in self.change else (),
            layers="layers" in self.change,
        )
        return SearchConfig(
            budget=Budget(bytes=self.bytes, active=self.active),
            space=space,
            score=self.score,
            method=self.method,
            group_size=self.group_size,
        )

    def apply(self, work: Work) -> str:
        """Search, and compress in place."""
        recipe = search(work.model, work.batches(), self._config())
        line = f"{recipe.before.bytes} -> {recipe.after.bytes} bytes by the recipe {recipe.name!r}"
        if recipe.name != SEARCHED:
            line += ", which was nearer to the model on held-out batches than what the search had found"
        tried = [f"{one.name}: {one.divergence:.4g}" for one in recipe.tried]
        return f"{line}; divergences there: {'; '.join(tried)}" if tried else line
