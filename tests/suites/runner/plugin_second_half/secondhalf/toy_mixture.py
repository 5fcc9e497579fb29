"""A data mixture whose weights move: what is learned worst is drawn more often

The classes stand for domains. A toy of dynamic sampling: after every few steps each weight grows by its domain's loss.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group

from ._toys import Trained
from ._watch import Watch

EXAMPLES_FOR_LOSS = 8
"""Of each domain, whose loss moves its weight."""


class Mixture:
    """A stream of batches: each example comes from a domain that is drawn by the weights.

    Args:
        domains: the examples of each.
        collate: makes a batch of examples.
        batch_size: examples in a batch.
        batches: batches of one pass.
        generator: draws domains and examples.
    """

    def __init__(
        self, domains: Sequence[Sequence[Any]], collate: Any, batch_size: int, batches: int, generator: torch.Generator
    ) -> None:
        self.domains = domains
        self.collate = collate
        self.batch_size = batch_size
        self.batches = batches
        self.generator = generator
        self.weights = torch.full((len(domains),), 1 / len(domains))
        self.place = 0

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Any]:
        while self.place < self.batches:
            self.place += 1
            yield self.collate([self._draw() for _ in range(self.batch_size)])
        self.place = 0

    def _draw(self) -> Any:
        domain = self.domains[int(torch.multinomial(self.weights, 1, generator=self.generator))]
        return domain[int(torch.randint(len(domain), (), generator=self.generator))]

    def state_dict(self) -> dict[str, Any]:
        """Weights, place in the pass and random numbers."""
        return {"weights": self.weights, "place": self.place, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.weights = state["weights"]
        self.place = state["place"]
        self.generator.set_state(state["generator"])


class MoveWeights(Callback):
    """After every `every` steps, multiplies each weight by exp(rate x loss of its domain), and notes it as a curve."""

    def __init__(self, context: Context, every: int, rate: float) -> None:
        self.context = context
        self.every = every
        self.rate = rate

    def on_start(self, state: TrainingState) -> None:
        """The first points of the curves."""
        self._note(state)

    def on_step(self, state: TrainingState) -> None:
        """Move the weights."""
        if state.step % self.every:
            return
        mixture: Mixture = state.data
        losses = torch.tensor([self._loss(state.models["model"], mixture, domain) for domain in mixture.domains])
        mixture.weights = torch.softmax(mixture.weights.log() + self.rate * losses, dim=0)
        self._note(state)

    @torch.no_grad()
    def _loss(self, model: nn.Module, mixture: Mixture, domain: Sequence[Any]) -> float:
        return self.context.loss(model, mixture.collate(list(domain[:EXAMPLES_FOR_LOSS]))).item()

    def _note(self, state: TrainingState) -> None:
        for number, weight in enumerate(state.data.weights.tolist()):
            state.curves.setdefault(f"weight of domain {number}", []).append((float(state.step), weight))


@dataclass(frozen=True, kw_only=True)
class ToyMixture(Trained):
    """Full tuning on a mixture of the classes."""

    every: int = 2
    """Steps after which the weights move."""
    rate: float = 0.5
    """How far they move; 0 leaves the mixture as it is."""

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """What moves the weights."""
        return MoveWeights(context, self.every, self.rate), Watch("toy_mixture")

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """Train on as many batches as a pass over the data has."""
        domains: dict[int, list[Any]] = {}
        for example in data.train:
            domains.setdefault(int(example[1]), []).append(example)
        size = context.budget.batch_size
        mixture = Mixture(
            [domains[name] for name in sorted(domains)],
            data.collate,
            size,
            math.ceil(len(data.train) / size),
            context.task_generator("mixture"),
        )
        group = Group.adamw("model", model, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        return self.train_groups(
            model, mixture, context.loss, [group], context, callbacks=self.callbacks(context)
        ).curves
