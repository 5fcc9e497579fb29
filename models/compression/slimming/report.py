"""What pruning did, linear map by linear map."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from ...errors import optional
from ..scarce import is_scarce

SHOWN = 8
"""Linear maps that are named in a line."""


@dataclass(frozen=True, kw_only=True)
class PrunedLinear:
    """One matrix that was pruned.

    Attributes:
        name: of the linear map.
        part: the part of the block that it is of.
        shape: (outputs, inputs).
        criterion: what ranked its weights, "magnitude" also where the inputs were too few for another one.
        tokens: real calibration tokens that reached it; None where none were needed.
        asked: zeros that were asked for.
        zeros: zeros that it has now: more where weights were 0 before, or became 0 when they were rounded.
    """

    name: str
    part: str
    shape: tuple[int, int]
    criterion: str
    tokens: int | None
    asked: int
    zeros: int

    @property
    def entries(self) -> int:
        """Weights of the matrix."""
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True, kw_only=True)
class PruningReport:
    """What `prune` did.

    The zeros lie in matrices as large as before: a mask alone saves no byte and no operation.

    Attributes:
        method: the criterion that was asked for.
        linears: what became of each linear map.
    """

    method: str
    linears: tuple[PrunedLinear, ...]

    @property
    def asked(self) -> int:
        """Zeros asked for."""
        return sum(one.asked for one in self.linears)

    @property
    def zeros(self) -> int:
        """Zeros made or found."""
        return sum(one.zeros for one in self.linears)

    @property
    def entries(self) -> int:
        """Weights that pruning looked at."""
        return sum(one.entries for one in self.linears)

    @property
    def sparsity(self) -> float:
        """Fraction of them that is 0."""
        return self.zeros / self.entries

    @property
    def fallen_back(self) -> tuple[PrunedLinear, ...]:
        """Maps with too few tokens for the criterion, which magnitude pruned instead."""
        return tuple(one for one in self.linears if one.criterion != self.method)

    @property
    def scarce(self) -> tuple[PrunedLinear, ...]:
        """Maps that calibration data ranked though fewer tokens reached them than a quarter of their inputs."""
        seen = [one for one in self.linears if one.criterion != "magnitude" and one.tokens is not None]
        return tuple(one for one in seen if is_scarce(one.tokens or 0, one.shape[1]))

    def __str__(self) -> str:
        lines = [
            f"{self.method}: {self.zeros} of {self.entries} weights in {len(self.linears)} linear maps are 0 "
            f"({self.sparsity:.2%}; asked for {self.asked}). The matrices are as large as before: no bytes are saved."
        ]
        if self.fallen_back:
            few = ", ".join(f"{one.name} ({one.tokens})" for one in self.fallen_back[:SHOWN])
            if len(self.fallen_back) > SHOWN:
                few += f" and {len(self.fallen_back) - SHOWN} more"
            lines.append(f"pruned by magnitude, for want of calibration tokens (their number): {few}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        fallen = f"; {len(self.fallen_back)} maps by magnitude, for want of tokens" if self.fallen_back else ""
        what = f"{self.zeros:,} of {self.entries:,} weights in {len(self.linears)} linear maps are 0"
        return f"PruningReport({self.method}: {what}{fallen})"

    def _repr_html_(self) -> str:
        """What a notebook shows: what `print` does, and the linear maps."""
        with optional():
            import pandas

        return f"<p>{escape(str(self))}</p>{pandas.DataFrame(self.linears).to_html(max_rows=20, index=False)}"
