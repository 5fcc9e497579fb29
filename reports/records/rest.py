"""What a row did until it came to rest, as `details["rest"]` of its record has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .record_limits import RecordError

KEY = "rest"
AT_REST = "at rest"
"""The curve whose last point is 1 where the row had come to rest, and 0 where it had not."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One training: how long it was, its score on the validation part, its seconds and operations."""

    length: int
    score: float
    seconds: float
    flops: float


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What one row did until it rested, or reached its ceiling.

    Raises:
        RecordError: no training, or lengths that do not grow.
    """

    metric: str
    """Main metric of the task."""
    unit: str
    """Of the lengths: epochs or steps."""
    margin: float
    """The gain of a doubling that counts as none, in the unit of the metric."""
    rested: bool
    trainings: tuple[Trained, ...]
    """From the shortest on; the last one stayed."""

    def __post_init__(self) -> None:
        lengths = [training.length for training in self.trainings]
        if not lengths or sorted(set(lengths)) != lengths:
            raise RecordError(f"trainings of {lengths} {self.unit} are no series of growing ones")

    @property
    def words(self) -> str:
        """How it ended."""
        last = f"{self.trainings[-1].length} {self.unit}"
        return f"at rest after {last}" if self.rested else f"still gaining after {last}"


def to_details(rest: Rest) -> dict[str, Any]:
    """The entry of a record's details."""
    return asdict(rest)


def from_details(value: Mapping[str, Any]) -> Rest:
    """The entry, checked.

    Args:
        value: what `to_details` gave, read back.

    Raises:
        RecordError: no training, or lengths that do not grow.
        KeyError, TypeError: an entry of another form.
    """
    trainings = tuple(Trained(**training) for training in value["trainings"])
    return Rest(**{**value, "trainings": trainings})
