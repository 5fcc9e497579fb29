"""What a quantisation did, weight by weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from ...errors import optional
from ..scarce import is_scarce


@dataclass(frozen=True, kw_only=True)
class QuantisedWeight:
    """One matrix that was quantised.

    Attributes:
        path: dotted name of its parameter.
        expert: which of a stack, or None.
        how: "rtn", "gptq" or "awq".
        bits: of a code.
        inputs: its columns.
        tokens: rows of calibration data that it read, None where none were looked at.
        error: squared error of its outputs on them as a fraction of the squared outputs; None without any.
    """

    path: str
    expert: int | None
    how: str
    bits: int
    inputs: int = 0
    tokens: int | None = None
    error: float | None = None

    @property
    def name(self) -> str:
        """Path and, of a stack, the number of the expert."""
        if self.expert is None:
            return self.path
        return f"{self.path}[{self.expert}]"


@dataclass(kw_only=True)
class QuantisationReport:
    """All matrices that were quantised, in the order of the blocks.

    Attributes:
        weights: what became of each matrix.
        scaled: norms and projections that AWQ folded a scale into.
        not_scaled: those where it could not, and why.
        read_dense: weights that no kernel here multiplies as they are, and why: they make nothing faster.
        bytes_before: all stored tensors of the model before.
        bytes_after: the same afterwards.
        method: what was asked for; `fallbacks` are those that it rounded to the nearest, for want of tokens.
    """

    weights: list[QuantisedWeight] = field(default_factory=list)
    scaled: list[str] = field(default_factory=list)
    not_scaled: dict[str, str] = field(default_factory=dict)
    read_dense: dict[str, str] = field(default_factory=dict)
    bytes_before: int = 0
    bytes_after: int = 0
    method: str = "rtn"

    @property
    def fallbacks(self) -> list[QuantisedWeight]:
        """Matrices without enough tokens."""
        return [weight for weight in self.weights if weight.how != self.method]

    @property
    def scarce(self) -> list[QuantisedWeight]:
        """Matrices that calibration data rounded though these are fewer tokens than a quarter of its inputs."""
        seen = [weight for weight in self.weights if weight.how != "rtn" and weight.tokens is not None]
        return [weight for weight in seen if is_scarce(weight.tokens or 0, weight.inputs)]

    def error(self) -> float | None:
        """Mean relative output error of the matrices that read any token."""
        errors = [weight.error for weight in self.weights if weight.error is not None]
        if not errors:
            return None
        return sum(errors) / len(errors)

    def __repr__(self) -> str:
        """One line, however many matrices there are; `summary` names them."""
        parts = [f"{len(self.weights)} matrices by {self.method}, {self.bytes_before:,} -> {self.bytes_after:,} bytes"]
        error = self.error()
        if error is not None:
            parts.append(f"mean output error {error:.3g}")
        for number, what in (
            (len(self.fallbacks), "rounded to nearest for want of tokens"),
            (len(self.not_scaled), "not scaled"),
            (len(self.read_dense), "multiplied as dense ones"),
        ):
            if number:
                parts.append(f"{number} {what}")
        return f"QuantisationReport({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: that line, and the matrices."""
        with optional():
            import pandas

        return f"<p>{escape(repr(self))}</p>{pandas.DataFrame(self.weights).to_html(max_rows=20, index=False)}"

    def summary(self) -> str:
        """One line for people."""
        line = f"{len(self.weights)} matrices by {self.method}, {self.bytes_before} -> {self.bytes_after} bytes"
        if self.fallbacks:
            names = ", ".join(weight.name for weight in self.fallbacks)
            line += f"; {len(self.fallbacks)} rounded to nearest for want of tokens ({names})"
        if self.not_scaled:
            line += f"; not scaled: {', '.join(sorted(self.not_scaled))}"
        if self.read_dense:
            reasons = ", ".join(sorted(set(self.read_dense.values())))
            line += f"; {len(self.read_dense)} weights are multiplied as dense ones ({reasons})"
        return line
