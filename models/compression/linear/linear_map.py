"""One linear map of a model: its matrix to read and write, whatever holds it, and where its inputs are seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ...anatomy import LinearView, Site
from ...errors import ModelError, check_choice

# Shapes: R rows (tokens) of an expert, D width, F hidden neurons, O outputs and I inputs of a linear map.

Part = Literal["attention", "ffn", "router", "experts", "shared"]
PARTS: tuple[Part, ...] = get_args(Part)
"""In the order in which a block computes them. "ffn" are dense FFNs, "shared" those that all tokens pass in addition
to the experts."""


def check_parts(parts: Sequence[str]) -> None:
    """Raise a `ModelError` unless these are names of parts, in a tuple or list."""
    if isinstance(parts, str):
        raise ModelError(f"parts={parts!r} is a text, not several: write parts=({parts!r},)")
    for part in parts:
        check_choice("parts", part, PARTS)


@dataclass(frozen=True, eq=False)
class Source:
    """Where the inputs of linear maps are seen: in the calls of the module at `site`. Maps that share one share inputs.

    `name` is unique in the model. With `expert` the module is called with (x, index, weight), and only the tokens that
    chose this expert are inputs. `inside` maps what the module gets to the inputs: (R, D) -> (R, F), for the down
    projection of an expert that is no module of its own.
    """

    name: str
    site: Site
    expert: int | None = None
    inside: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearMap:
    """One linear map y = x W^T + b. `weight` (O, I) and `bias` (O,) are views: writing into them changes the model.

    Attributes:
        name: dotted, with the number of the expert.
        block: index of its block.
        part: the part of the block, such as "experts".
        role: "gate", "up", "down", "gate_up", "q", ..., or the name of the module or parameter.
        read: makes the view of its weights.
        source: where its inputs are seen; None where nothing shows them.
        expert: which one of a mixture.

    Example: `[one.name for one in linear_maps(mixtral)]` begins with `"model.layers.0.mlp.experts[0].gate"`.
    """

    name: str
    block: int
    part: Part
    role: str
    read: Callable[[], LinearView]
    source: Source | None
    expert: int | None = None

    @property
    def weight(self) -> Tensor:
        """The matrix (O, I), without a gradient."""
        return self.read().weight.detach()

    @property
    def bias(self) -> Tensor | None:
        """The bias (O,) or None, without a gradient."""
        bias = self.read().bias
        return None if bias is None else bias.detach()

    @property
    def shape(self) -> tuple[int, int]:
        """(O, I)."""
        outputs, inputs = self.read().weight.shape
        return outputs, inputs

    @torch.no_grad()
    def write(self, weight: Tensor) -> None:
        """Write the matrix, cast to what the model holds.

        Args:
            weight: (O, I).

        Raises:
            ModelError: another shape.
        """
        if tuple(weight.shape) != self.shape:
            raise ModelError(f"{self.name} has shape {self.shape}, not {tuple(weight.shape)} as given")
        self.read().weight.copy_(weight)
