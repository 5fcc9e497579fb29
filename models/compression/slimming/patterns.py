"""Which weights of a matrix stay, given a score for each: counts are exact, ties go by position."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError

# Shapes: O outputs, I inputs, G groups of a row, S rows of candidates, C candidates of a row.


@dataclass(frozen=True)
class Pattern:
    """Where zeros may lie, and how many.

    `name`: "unstructured" ranks all weights of a matrix, "row" those of each output, "n:m" those of each m neighbouring
    inputs of an output, of which n stay ("2:4", "4:8"). `sparsity` is the share that is removed, 0 <= sparsity < 1,
    rounded down to whole weights; for n:m it is 1 - n/m and nothing else. Columns beyond the last whole group of m keep
    n of what they are, as if zeros filled the group up. Raises `ModelError` for anything else.

    Example: `Pattern("2:4", 0.5).keep(weight.abs())`.
    """

    name: str = "unstructured"
    sparsity: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ModelError(f"sparsity={self.sparsity} is the fraction of the weights to remove: 0 <= sparsity < 1")
        if self.name in ("unstructured", "row"):
            return
        if not isinstance(self.name, str):
            raise ModelError(f"pattern={self.name!r} is no text: write it in quotes, as in '2:4'")
        if self.group is None:
            raise ModelError(f"pattern={self.name!r} is not one of unstructured, row, n:m with 1 <= n <= m, as in 2:4")
        stay, size = self.group
        if abs(self.sparsity - (1 - stay / size)) > 1e-9:
            raise ModelError(
                f"pattern {self.name} removes {1 - stay / size:g} of the weights, not sparsity={self.sparsity}"
            )

    @property
    def group(self) -> tuple[int, int] | None:
        """(n, m) of n:m; None for the other patterns."""
        return _group(self.name)

    def zeros(self, outputs: int, inputs: int) -> int:
        """How many weights of a matrix (O, I) go."""
        if self.name == "unstructured":
            return fraction_of(self.sparsity, outputs * inputs)
        if self.group is None:
            return outputs * fraction_of(self.sparsity, inputs)
        stay, size = self.group
        return outputs * (inputs // size * (size - stay) + max(0, inputs % size - stay))

    def keep(self, score_OI: Tensor) -> Tensor:
        """Boolean (O, I): the weights that stay, those of the greatest scores. Raises `ModelError` for NaN scores."""
        if score_OI.isnan().any():
            raise ModelError("scores of weights are NaN: are the weights finite?")
        if self.name == "unstructured":
            return keep_greatest(score_OI.reshape(1, -1), self.zeros(*score_OI.shape)).view(score_OI.shape)
        if self.group is None:
            return keep_greatest(score_OI, fraction_of(self.sparsity, score_OI.shape[1]))
        return _keep_groups(score_OI, *self.group)


def _group(name: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"([1-9]\d*):([1-9]\d*)", str(name))
    if found is None:
        return None
    stay = int(found[1])
    size = int(found[2])
    return (stay, size) if stay <= size else None


def removed_by(name: str) -> float:
    """The sparsity of a pattern of this name that nothing is said of: what n:m removes, else half."""
    group = _group(name)
    return 0.5 if group is None else 1 - group[0] / group[1]


def fraction_of(fraction: float, count: int) -> int:
    """`fraction` of `count`, rounded down; a product that is whole but for its rounding counts as whole."""
    return int(fraction * count + 1e-9 * max(1.0, fraction * count))


def keep_greatest(score_SC: Tensor, zeros: int) -> Tensor:
    """Boolean (S, C): all but the `zeros` smallest of each row; of equal scores the first ones go."""
    if zeros == 0:
        return torch.ones_like(score_SC, dtype=torch.bool)
    border_S1 = score_SC.kthvalue(zeros, dim=1, keepdim=True).values
    below_SC = score_SC < border_S1
    tied_SC = score_SC == border_S1
    # As many of those at the border go as are missing to the count, in the order of position.
    missing_S1 = zeros - below_SC.sum(1, keepdim=True)
    return ~below_SC & ~(tied_SC & (tied_SC.cumsum(1) <= missing_S1))


def _keep_groups(score_OI: Tensor, stay: int, size: int) -> Tensor:
    outputs, inputs = score_OI.shape
    # What fills the last group up has the least score of all, so that it goes first.
    filled = F.pad(score_OI, (0, -inputs % size), value=float("-inf"))
    kept = keep_greatest(filled.reshape(-1, size), size - stay)
    return kept.view(outputs, -1)[:, :inputs]
