"""Recorded numbers of official code, and how near ours must come to them.

Both sides compute in float32, whose unit round-off is u = 2^-24, and add the same numbers up in another order. The sum
of n terms then differs by about 2 sqrt(n) u of their size. The errors of d sums in a row, each fed by the one before,
are independent and add up as their squares do: 2 sqrt(d n) u. The greatest of many thousand such differences lies four
deviations out. Their size is taken to be the greatest absolute value of what was recorded, as each value is a
sum of terms of both signs. What was seen is at most a fifth of this, mostly a twentieth.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ..agreement import compared

FOLDER = Path(__file__).parent
UNIT = 2.0**-24
OUTLIER = 4
"""Deviations from 0 of the greatest of some ten thousand differences."""


class Oracle(Mapping[str, Tensor]):
    """Tensors by name, integers as int64, of one file; `about` is what its metadata say."""

    def __init__(self, file: str) -> None:
        with safe_open(FOLDER / file, "pt") as opened:
            self.tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
            texts = opened.metadata() or {}
        self.about: dict[str, Any] = {name: json.loads(text) for name, text in texts.items() if name != "format"}

    def __getitem__(self, name: str) -> Tensor:
        """A copy, so that no test changes what another one reads."""
        tensor = self.tensors[name]
        return tensor.clone() if tensor.is_floating_point() else tensor.long()

    def __iter__(self) -> Any:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, by the rest of their names."""
        return {name.removeprefix(prefix): self[name] for name in self if name.startswith(prefix)}


def rounding(*, products: int, terms: int) -> float:
    """What float32 may make of `products` in a row with `terms` each, relative to the greatest value."""
    return OUTLIER * 2 * math.sqrt(products * terms) * UNIT


def difference(found: Tensor, recorded: Tensor) -> float:
    """The greatest difference, relative to the greatest absolute value of what was recorded."""
    return compared(found.detach(), recorded, "outputs", within=1.0).relative
