"""Compression search: experts, their width, layers and bits of each mixture by calibration scores, under a budget

Each choice is tried alone on the calibration data and the damages are taken to add up, so that the best recipe is that
of a multiple-choice knapsack, as SPDY (Frantar and Alistarh, arXiv 2201.13096) has it for sparsities and HIGGS
(Malinovskii et al., arXiv 2411.17525) for bits of layers. EvoPress (Sieberling et al., arXiv 2410.14649) shows where
damages do not add up: so the recipe has to beat uniform ones on held-out batches. What goes is gone: experts (by REAP,
arXiv 2510.13999), neurons of experts, whole mixtures (Layer Drop, arXiv 2406.02500), bits (GPTQ, arXiv 2210.17323).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from sparsebench.models.compression.search import Budget, Recipe, SearchConfig, SearchSpace, search
from sparsebench.models.compression.trimming.experts.scores import Score
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import Later, NotApplicable
from ...contracts.traits import CALIBRATION_DATA, EXPERTS
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add
from ._passes import counted_passes

Change = Literal["experts", "width", "layers", "bits"]


@dataclass(frozen=True, kw_only=True)
class CompressionSearch(TunedMethod):
    """The mixtures of the backbone as the recipe of least damage within the budget leaves them."""

    may_repeat: ClassVar[bool] = True
    """Whether two seeds, of other data, may well choose the same recipe: read by the conformance battery."""

    keep: float = 0.9
    """Share of the model that stays, in (0, 1]."""
    of: Literal["bytes", "active"] = "bytes"
    """What the budget is a fraction of: the model's stored bytes, or its parameters at work on a token."""
    change: tuple[Change, ...] = ("experts", "width", "layers", "bits")
    """What may change."""
    experts: tuple[float, ...] = (0.875, 0.75, 0.625, 0.5)
    """Shares of the experts of a mixture that may stay; all of them may, too."""
    widths: tuple[float, ...] = (0.75, 0.5)
    """Likewise of their hidden neurons."""
    bits: tuple[int, ...] = (4, 3, 2)
    """That weights of experts may have; they may also stay as they are stored."""
    score: Score = "reap"
    """What ranks experts."""
    method: Literal["rtn", "gptq"] = "gptq"
    """How weights are rounded, in trials and in the end."""
    group_size: int | None = 64
    """Columns that share a scale; None: those of a whole row."""
    symmetric: bool = True
    """Grids around 0; else each group has a zero point."""
    anchors: int = 4
    """Choices of each mixture whose damage is measured by running the whole model; that of others follows from the
    error at their block."""
    held_out: Later[float] = 0.25
    """Fraction of the calibration batches on which the recipe is compared with uniform ones and with the score over all
    layers, made likewise: the nearest to the model is taken. 0: the recipe of least predicted damage, unseen."""

    def __post_init__(self) -> None:
        self.search_config()
        if "bits" in self.change and self.train in ("all", "all_but_router", "experts"):
            raise ValueError(
                f"train: {self.train}, but quantised weights do not train: take bits out of `change`, or train "
                "adapters, norms or a head"
            )

    def search_config(self, *, generates: bool = True) -> SearchConfig:
        """The settings; by the outputs of a model that generates, else by its last hidden states (a head is not trained
        yet). Raises `ModelError` for those that cannot be.
        """
        budget = Budget(bytes=self.keep) if self.of == "bytes" else Budget(active=self.keep)
        space = SearchSpace(
            experts=self.experts if "experts" in self.change else (),
            widths=self.widths if "width" in self.change else (),
            bits=self.bits if "bits" in self.change else (),
            layers="layers" in self.change,
        )
        return SearchConfig(
            budget=budget,
            space=space,
            score=self.score,
            method=self.method,
            group_size=self.group_size,
            symmetric=self.symmetric,
            distance="kl" if generates else "states",
            anchors=self.anchors,
            held_out=self.held_out,
        )

    @property
    def needs(self) -> frozenset[str]:
        """Experts, and data to try choices on."""
        return frozenset({EXPERTS, CALIBRATION_DATA})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Search, and compress in place. A budget that cannot be kept is not applicable, with the least that can."""
        batches = context.calibration()
        sizes = Sizes(backbone)
        try:
            with counted_passes(backbone, len(batches)) as passes:
                recipe = search(backbone, batches, self.search_config(generates=context.target.generates))
        except ModelError as error:
            raise NotApplicable(str(error)) from error
        context.note("search", {"passes": passes(), "batches": len(batches)})
        sizes.note(context, _findings(recipe))
        return backbone


def _findings(recipe: Recipe) -> Blocks:
    """What became of each mixture, and what the search takes that to cost."""
    blocks: Blocks = {}
    for one in recipe.decisions:
        add(
            blocks,
            one.block,
            experts_before=[one.before.experts],
            experts=[one.after.experts],
            width=[one.after.width],
            bits=[] if one.after.bits is None else [one.after.bits],
            dropped=[int(one.after.dropped)],
            damage=[] if one.damage is None else [one.damage],
        )
    return blocks
