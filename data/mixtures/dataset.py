"""A mixture as a map-style PyTorch data set: item i is draw i, whoever asks for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, get_worker_info

from ..errors import MixtureError
from .draws import Draw, MixtureDraws

MOST_CHANGES = 8192
"""Changes of weights that the table in shared memory has room for."""
MOST_WORKERS = 256


class MixtureDataset(Dataset[Any]):
    """Examples of several data sets in the order of their draws, in shares that may change while loaders run.

    Item i is the example that draw i takes. The workers of a `DataLoader` and processes that share out the items thus
    give the same examples whatever their number, and a training that skips the items it has seen goes on exactly:
    read them in order (``shuffle=False``; in the Trainer of transformers ``train_sampling_strategy="sequential"``).

    Weights lie in shared memory: workers that run see a change before their next draw. Because loaders read ahead, a
    change is for a draw to come, far enough ahead that nobody has made it: `set_weights` in the process that made this
    object raises where some worker has, and so does the worker itself.

    Args:
        rows: examples by data set, in the order of the mixture; any sequence.
        weights: shares by data set; they sum to 1.
        length: number of items, those of the whole training: a second pass would give the same ones again.
        seed: of data sets and orders.
        repeat: whether a data set starts another pass at its end; else its item raises `DryStreamError`.

    Raises:
        MixtureError: as `MixtureDraws`, and for a length below 1.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[Any]],
        weights: Mapping[str, float],
        *,
        length: int,
        seed: int,
        repeat: bool = True,
    ) -> None:
        if length < 1:
            raise MixtureError(f"a mixture of {length} items is none; give at least 1")
        self.rows = rows
        self.length = length
        self.draws = MixtureDraws({name: len(found) for name, found in rows.items()}, weights, seed, repeat)
        # A change is a row: its first draw (exact up to 2 ** 53), and the weights in the order of the names.
        self._changes = torch.zeros(MOST_CHANGES, 1 + len(rows), dtype=torch.float64).share_memory_()
        self._count = torch.zeros(1, dtype=torch.int64).share_memory_()
        # The end of what each worker has drawn; the first place is for the process itself.
        self._ends = torch.zeros(1 + MOST_WORKERS, dtype=torch.int64).share_memory_()
        self._seen = 0
        """Changes that this process, or worker, knows of."""

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, draw: int) -> Any:
        """The example of that draw. Raises IndexError beyond the last."""
        return self.__getitems__([draw])[0]

    def __getitems__(self, draws: Sequence[int]) -> list[Any]:
        """The examples of several draws, which loaders ask for by batch."""
        for draw in draws:
            if not 0 <= draw < self.length:
                raise IndexError(f"item {draw} of a mixture of {self.length}")
        self._announce(max(draws) + 1)
        self._look_for_changes()
        return [self.rows[name][row] for name, row in self._take(draws)]

    @property
    def weights(self) -> dict[str, float]:
        """The newest weights, which may take effect at a draw still to come."""
        return self.draws.weights

    @property
    def taken(self) -> int:
        """The first draw that no worker has made yet, nor this process: the earliest that new weights can decide."""
        return max(int(self._ends.max()), self.draws.taken)

    def set_weights(self, weights: Mapping[str, float], from_draw: int) -> None:
        """Let weights decide from a draw on, in all workers.

        Args:
            weights: by data set; they sum to 1.
            from_draw: number of the draw.

        Raises:
            MixtureError: bad weights, and a draw that was made already: then give a later one, by what the loader reads
                ahead (workers * prefetch_factor batches; the Trainer of transformers one batch more).
        """
        if from_draw < self.taken:
            raise MixtureError(
                f"weights cannot change from draw {from_draw} on: draws below {self.taken} are made already, since "
                "loaders read ahead; let the weights take effect later, or let fewer batches be read ahead"
            )
        number = int(self._count)
        if number == MOST_CHANGES:
            raise MixtureError(f"the weights changed {MOST_CHANGES} times, and no more; change them less often")
        self.draws.set_weights(weights, from_draw)
        values = [float(from_draw), *self.draws.weights.values()]
        self._changes[number] = torch.tensor(values, dtype=torch.float64)
        self._count += 1  # last, so that nobody reads half a row
        self._seen = number + 1

    def state_dict(self) -> dict[str, Any]:
        """Sizes, seed and all weights so far; which items training has seen is for its sampler to know."""
        return self.draws.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the weights of a state. Call it before a loader starts its workers.

        Args:
            state: what `state_dict` gave.

        Raises:
            MixtureError: data sets, sizes or seed differ.
        """
        self.draws.load_state_dict(state)
        self._ends.zero_()
        self._count.zero_()
        self._seen = 0

    def _take(self, draws: Sequence[int]) -> list[Draw]:
        """Names and rows, taken at once where the draws follow each other, as in batches they do."""
        first = draws[0]
        if list(draws) == list(range(first, first + len(draws))):
            return self.draws.take(first, len(draws))
        return [self.draws.take(draw, 1)[0] for draw in draws]

    def _announce(self, end: int) -> None:
        """Say what is drawn now, before looking for changes: whoever changes weights looks in the other order."""
        info = get_worker_info()
        place = 0 if info is None else info.id + 1
        if place > MOST_WORKERS:
            raise MixtureError(f"{info.num_workers if info else 0} workers are too many; use at most {MOST_WORKERS}")
        if end > int(self._ends[place]):
            self._ends[place] = end

    def _look_for_changes(self) -> None:
        count = int(self._count)
        while self._seen < count:
            from_draw, *weights = self._changes[self._seen].tolist()
            self.draws.change(dict(zip(self.draws.names, weights, strict=True)), int(from_draw))
            self._seen += 1
