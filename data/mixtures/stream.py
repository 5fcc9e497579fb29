"""Whole batches from several data sets, in the shares that a strategy moves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import MixtureError
from .draws import Draw, MixtureDraws


class MixtureStream:
    """Batches without an end, for a training loop in one process or in several that number batches alike.

    Batch b takes draws b * batch_size ... (b + 1) * batch_size - 1 on every process: which of them takes which batch is
    for the loop to say. A change of weights takes effect at the next batch.

    Args:
        rows: examples by data set, in the order of the mixture; any sequence.
        weights: shares by data set; they sum to 1.
        batch_size: examples in a batch.
        collate: makes a batch of a list of examples.
        seed: of data sets and orders.
        repeat: whether a data set starts another pass at its end; else iterating raises `DryStreamError` there.

    Raises:
        MixtureError: as `MixtureDraws`, and for a batch size below 1.
    """

    per_process = False

    def __init__(
        self,
        rows: Mapping[str, Sequence[Any]],
        weights: Mapping[str, float],
        *,
        batch_size: int,
        collate: Callable[[list[Any]], Any],
        seed: int,
        repeat: bool = True,
    ) -> None:
        if batch_size < 1:
            raise MixtureError(f"a batch of {batch_size} examples is none; give at least 1")
        self.rows = rows
        self.batch_size = batch_size
        self.collate = collate
        self.draws = MixtureDraws({name: len(found) for name, found in rows.items()}, weights, seed, repeat)
        self.place = 0
        """The next draw."""

    @property
    def weights(self) -> dict[str, float]:
        """Today's weights."""
        return self.draws.weights

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Draw in these fractions from the next batch on.

        Args:
            weights: by data set; they sum to 1.

        Raises:
            MixtureError: as `MixtureDraws.set_weights`.
        """
        self.draws.set_weights(weights, self.place)

    def next_draws(self) -> list[Draw]:
        """Names and rows of the next batch, which is taken by this."""
        found = self.draws.take(self.place, self.batch_size)
        self.place += self.batch_size
        return found

    def __iter__(self) -> Iterator[Any]:
        """Batches, from the place on where this stream is."""
        while True:
            examples = [self.rows[name][row] for name, row in self.next_draws()]
            yield self.collate(examples)

    def counts(self) -> dict[str, int]:
        """Examples given so far, by data set."""
        return self.draws.counts(self.place)

    def fingerprint(self) -> str:
        """What the draws depend on but for the weights: sizes, seed and batch size."""
        return f"mixture of {self.draws.sizes}, seed {self.draws.seed}, batches of {self.batch_size}"

    def state_dict(self) -> dict[str, Any]:
        """The next draw and all weights so far."""
        return {"place": self.place, "batch_size": self.batch_size, "draws": self.draws.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there: the next batch is what it would have been.

        Args:
            state: what `state_dict` gave.

        Raises:
            MixtureError: the data differ.
        """
        self.draws.load_state_dict(state["draws"])
        self.place = state["place"]
