"""Quantised experts: weights of 2 to 8 bits in packed storage, by rounding to nearest, GPTQ or AWQ

GPTQ (Frantar et al., arXiv 2210.17323) rounds column by column and lets later columns make up for the errors; AWQ (Lin
et al., arXiv 2306.00978) scales columns up before rounding, with the router among what reads the scaled inputs. The
router stays as it is otherwise, unless it is named in `parts`. Memory and files shrink. Weights in
groups of a multiple of 32 columns are multiplied as they are, by inputs rounded to 8 bits, where the processor can
(AVX-512 VNNI); others make the dense weight for each use, which is slower than no quantisation.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.linear_map import Part
from sparsebench.models.compression.quantisation import (
    AWQConfig,
    GPTQConfig,
    Grid,
    QuantisationReport,
    QuantiseConfig,
    quantise,
)

from ...contracts.context import Context
from ..shared._tuned import TunedMethod
from ._findings import Blocks, Sizes, add
from ._linear_parts import check_has_parts, traits_for


@dataclass(frozen=True, kw_only=True)
class Quantise(TunedMethod):
    """Every matrix of the experts on a grid of integers. Codes do not train: adapters, norms and heads can."""

    method: Literal["rtn", "gptq", "awq"] = "gptq"
    """Rounding to nearest, or one of the two that look at calibration data."""
    bits: int = 4
    """Bits of a weight, 2 to 8."""
    group_size: int | None = 64
    """Columns that share a scale; None: those of a whole row. The last group takes what is left."""
    symmetric: bool | None = None
    """Grids around 0; else each group has a zero point, as in AWQ's paper. None: the latter for AWQ alone."""
    parts: tuple[Part, ...] = ("experts",)
    """What is quantised: "experts", "shared", "attention", "ffn" (dense FFNs), "router"."""
    act_order: bool = True
    """GPTQ: columns with large inputs first."""
    damping: float = 0.01
    """GPTQ: share of the mean second moment that is added to all."""
    clip: bool | None = None
    """AWQ: search how far the grid of each group should reach, as its code does. None: yes for AWQ, else no."""
    min_tokens: int = 1
    """Matrices that fewer tokens reach are rounded to nearest, with a warning that names them."""

    def __post_init__(self) -> None:
        # What is meant stands in the config, and so in the record and the key of a cell.
        if self.symmetric is None:
            object.__setattr__(self, "symmetric", self.method != "awq")
        if self.clip is None:
            object.__setattr__(self, "clip", self.method == "awq")
        self.quantisation()
        if self.train in ("all", "all_but_router", "experts"):
            raise ValueError(
                f"train: {self.train}, but quantised weights do not train: train adapters, norms or a head"
            )

    def quantisation(self) -> QuantiseConfig:
        """The settings. Raises `ModelError` for those that cannot be."""
        return QuantiseConfig(
            method=self.method,
            grid=Grid(bits=self.bits, group_size=self.group_size, symmetric=bool(self.symmetric)),
            parts=self.parts,
            gptq=GPTQConfig(damping=self.damping, act_order=self.act_order),
            awq=AWQConfig(clip=bool(self.clip)),
            least_tokens=self.min_tokens,
        )

    @property
    def needs(self) -> frozenset[str]:
        """The parts to be quantised, and calibration data where the method looks at them."""
        return traits_for(self.parts, looks_at_data=self.method != "rtn")

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Quantise in place; what could not be done as asked is a warning, which the record keeps."""
        check_has_parts(backbone, self.parts)
        batches: list[Any] = []
        if self.method != "rtn":
            batches = context.calibration()
        sizes = Sizes(backbone)
        report = quantise(backbone, self.quantisation(), batches)
        if report.fallbacks or report.not_scaled:
            warnings.warn(report.summary(), stacklevel=2)
        sizes.note(context, _findings(backbone, report, self.quantisation().grid))
        return backbone


def _findings(model: nn.Module, report: QuantisationReport, grid: Grid) -> Blocks:
    """Bits of each block with rounded weights, and error of each matrix."""
    few = {id(one) for one in report.fallbacks}
    blocks: Blocks = {}
    for block in describe(model).blocks:
        inside = [one for one in report.weights if one.path.startswith(f"{block.site.path}.")]
        bits = sorted({one.bits for one in inside})
        add(
            blocks,
            block.index,
            bits=bits,
            group_size=[grid.group_size or 0 for _ in bits],
            error=[one.error for one in inside if one.error is not None],
            to_nearest=[one.expert or 0 for one in inside if id(one) in few],
        )
    return blocks
