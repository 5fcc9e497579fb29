"""What a stock architecture can express, and how it names its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

from .mixture import Mixture
from .source import Source

Widths = tuple[int, int]
Engine = Literal["transformers", "llama.cpp", "vllm", "compressed-tensors"]
"""What is to run a checkpoint. `models/ENGINES.md` has what was measured, and with which versions."""


class Reach(NamedTuple):
    """What one engine computes exactly of an architecture: models whose features it `has`, and which have all that it
    `needs`. `untied`: it wants the head as a tensor of its own, also where that is tied to the embeddings."""

    has: frozenset[str]
    needs: frozenset[str] = frozenset()
    untied: bool = False


@dataclass(frozen=True, kw_only=True)
class Stock:
    """One architecture of transformers.

    `runs_in` says which engines run it, and with which features of a model; an engine that is not there does not run
    it. `widths` gives the neurons of an expert
    and of the shared block in the file, `config` the fields in addition to `Source.config`, `mixture` the tensors of
    one block by their names below the block. `rest` changes the tensors that are no mixture.
    """

    name: str
    runs_in: Mapping[Engine, Reach]
    widths: Callable[[Source], Widths]
    config: Callable[[Source, Widths], dict[str, Any]]
    mixture: Callable[[Mixture], dict[str, Tensor]]
    rest: Callable[[Source, dict[str, Tensor]], dict[str, Tensor]] = lambda source, state: state

    def fits(self, features: frozenset[str], engine: Engine = "transformers") -> bool:
        """Whether a model with these features can be written so that the engine computes it exactly."""
        return self.hindrance(features, engine) is None

    def hindrance(self, features: frozenset[str], engine: Engine) -> str | None:
        """Why not, as words after the name of the engine; None where nothing is in the way."""
        if engine not in self.runs_in:
            return f"does not run {self.name}"
        reach = self.runs_in[engine]
        if not features <= reach.has:
            return f"runs {self.name} only without {' and '.join(sorted(features - reach.has))}"
        if not reach.needs <= features:
            return f"runs {self.name} only with {' and '.join(sorted(reach.needs - features))}"
        return None


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
