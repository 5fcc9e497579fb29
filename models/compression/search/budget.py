"""What a recipe may cost: bytes of the model, or parameters at work on a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import ModelError

Kind = Literal["bytes", "active"]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A fraction, in (0, 1], of the stored bytes of the model as it is, or of its active parameters: exactly one of
    both.

    Attributes:
        bytes: fraction of the stored bytes.
        active: fraction of the parameters at work on a token.

    Raises:
        ModelError: none, both, and another fraction.
    """

    bytes: float | None = None
    active: float | None = None

    def __post_init__(self) -> None:
        given = [fraction for fraction in (self.bytes, self.active) if fraction is not None]
        if len(given) != 1:
            raise ModelError(f"bytes={self.bytes}, active={self.active}: name one of the two budgets")
        if not 0 < given[0] <= 1:
            raise ModelError(f"{self.kind}={given[0]}, a fraction of the model as it is, must lie in (0, 1]")

    @property
    def kind(self) -> Kind:
        """Which of the two it is."""
        return "active" if self.bytes is None else "bytes"

    @property
    def fraction(self) -> float:
        """The fraction."""
        fraction = self.active if self.bytes is None else self.bytes
        assert fraction is not None
        return fraction
