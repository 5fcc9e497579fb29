"""What a stock architecture can express, and how it names its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .mixture import Mixture
from .source import Source

Widths = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Stock:
    """One architecture of transformers.

    It fits a model whose features it `has`, and which has all that it `needs`. `widths` gives the neurons of an expert
    and of the shared block in the file, `config` the fields in addition to `Source.config`, `mixture` the tensors of
    one block by their names below the block. `rest` changes the tensors that are no mixture.
    """

    name: str
    has: frozenset[str]
    needs: frozenset[str] = frozenset()
    widths: Callable[[Source], Widths]
    config: Callable[[Source, Widths], dict[str, Any]]
    mixture: Callable[[Mixture], dict[str, Tensor]]
    rest: Callable[[Source, dict[str, Tensor]], dict[str, Tensor]] = lambda source, state: state

    def fits(self, features: frozenset[str]) -> bool:
        """Whether a model with these features can be written exactly."""
        return self.needs <= features <= self.has


def experts(mixture: Mixture) -> dict[str, Tensor]:
    """Router and experts as most architectures name them."""
    return {
        "mlp.gate.weight": mixture.router,
        "mlp.experts.gate_up_proj": mixture.gate_up,
        "mlp.experts.down_proj": mixture.down,
    }


def layer_types(source: Source) -> list[str]:
    """Kind of attention of every block."""
    return ["sliding_attention" if window else "full_attention" for window in source.windows]
