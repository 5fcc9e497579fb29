"""Small runs of the model that is to be trained, each from the same weights on a mixture of its own."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.data.mixtures import strategy
from sparsebench.data.mixtures.proxy_runs import ProxyRun, proxy_mixtures
from sparsebench.data.mixtures.reuse import KEPT, Reuse

from ..processes import Processes
from ..random_state import undisturbed
from .held_out import LOSSES, HeldOut, measure

REGRESSION = "proxy_regression"
"""The strategy that reads small runs."""


@dataclass(frozen=True, kw_only=True)
class Swarm:
    """What small runs need, and their mixtures: random ones around the sizes of the data sets."""

    model: nn.Module
    train: Callable[[Mapping[str, float], str], Any]
    """Trains the model in place on a mixture; the second argument is a name of its own for the run."""
    read: HeldOut
    """Rows whose losses end a run."""
    sizes: Mapping[str, int]
    """Rows by data set."""
    seed: int
    """Of the mixtures."""
    options: Mapping[str, Any]
    """Those of the strategy: kl, repeats, draws."""

    def runs(self, count: int, names: Sequence[str]) -> list[ProxyRun]:
        """So many runs on mixtures of these data sets, with the held-out losses of each of them.

        The model then has the weights that it had before, and random numbers go on as if nothing had been. Raises
        MixtureError for a count below 1.
        """
        mixtures = proxy_mixtures(_by_size(self.sizes, names), count, self.seed)
        return self._measured(mixtures, names, f"{len(names)} sets")

    def reused(self, count: int, earlier: int, added: Sequence[str]) -> tuple[dict[str, float], list[ProxyRun]]:
        """A mixture of all sets but the added ones, by `earlier` runs on them; and `count` runs that keep its ratios.

        Raises:
            MixtureError: unknown data sets, and too few runs.
        """
        names = tuple(self.sizes)
        old = tuple(name for name in names if name not in added)
        sizes = {name: self.sizes[name] for name in old}
        kept = strategy(REGRESSION, old, runs=self.runs(earlier, old), sizes=sizes, **self.options).weights
        reuse = Reuse(names, kept)
        free = {KEPT: sum(sizes.values()), **{name: self.sizes[name] for name in reuse.added}}
        mixtures = [reuse.expanded(free) for free in proxy_mixtures(_by_size(free, tuple(free)), count, self.seed)]
        return kept, self._measured(mixtures, names, "kept ratios")

    def _measured(self, mixtures: Sequence[Mapping[str, float]], names: Sequence[str], stage: str) -> list[ProxyRun]:
        processes = Processes(next(self.model.parameters()).device)
        found = []
        for number, weights in enumerate(mixtures, start=1):
            with first_weights_after(self.model):
                with undisturbed():
                    self.train({name: weights.get(name, 0.0) for name in self.sizes}, f"{stage}, small run {number}")
                losses = measure(self.model, self.read, frozenset({LOSSES}), processes).losses
            assert losses is not None
            found.append(ProxyRun(weights, {name: losses[name] for name in names}))
        return found


@contextmanager
def first_weights_after(model: nn.Module) -> Iterator[None]:
    """After the block the model has the weights that it had before."""
    first = copy.deepcopy(model.state_dict())
    yield
    model.load_state_dict(first)


def _by_size(sizes: Mapping[str, int], names: Sequence[str]) -> dict[str, float]:
    total = sum(sizes[name] for name in names)
    return {name: sizes[name] / total for name in names}
