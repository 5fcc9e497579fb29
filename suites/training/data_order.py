"""In which order training sees its data, and the place in it, which a checkpoint keeps.

Map-style data (`TrainingData`) come in random batches. A stream is any iterable of whole batches, one pass of which is
an epoch; with `state_dict` and `load_state_dict`, it goes on where it was.

A training may go on with another number of processes, as long as a step has the same examples: what `step_size` says
must not change. Map-style data without lengths may then be cut into batches of another size (2 processes with batches
of 4 are 1 with batches of 8, or 1 that accumulates 2 batches of 4); otherwise the batches stay, and `accumulation`
makes up for the processes. What is dropped at the end of each epoch stays dropped.
"""

from collections.abc import Iterator, Sequence, Sized
from itertools import islice
from typing import Any, NamedTuple, Protocol

import torch
from torch.utils.data import BatchSampler, RandomSampler

from sparsebench.models.length_batches import length_batches

from .processes import Processes
from .settings import TrainSettings

POOL = 16
"""Batches among which examples are sorted by length."""


class TrainingData(Protocol):
    """Map-style data."""

    @property
    def train(self) -> Sequence[Any]:
        """Training examples."""
        ...

    @property
    def lengths(self) -> Sequence[int] | None:
        """Length of each training example where batches are padded to the longest, else None."""
        ...

    def collate(self, examples: list[Any], /) -> Any:
        """One batch, as the loss takes it."""
        ...


class Drawn(NamedTuple):
    """A batch, and the number of its examples; 1 where the batch is a stream's, which says nothing of them."""

    batch: Any
    examples: int


class MapOrder:
    """Random batches of map-style data, new in each epoch, by length where the data have lengths.

    A last batch that would be smaller is dropped, for it spoils batch statistics; a part smaller than a batch is one
    batch. Of several processes, each takes its batch of every round; batches that make no whole round are dropped.
    """

    def __init__(self, data: TrainingData, settings: TrainSettings, processes: Processes) -> None:
        if settings.batch_size is None:
            raise ValueError("map-style data need a batch_size in the settings")
        self.data = data
        self.size = settings.batch_size
        self.processes = processes
        self.per_round = self.size * processes.count
        """Examples of a round, in which each process has a batch."""
        self.lengths = data.lengths
        self.drop_last = len(data.train) > self.size
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.before = self.generator.get_state()
        self.batches: list[list[int]] | None = None
        self.place = 0
        self.rounds: int | None = self._count() // processes.count
        if not self.rounds:
            raise ValueError(f"{len(data.train)} examples make no batch of {self.size} for each process")

    def step_size(self, accumulation: int) -> str:
        """What of a step must be the same for a training that goes on, however many processes share it."""
        batches = self.processes.count * accumulation
        if self.lengths is None:
            return f"{batches * self.size} examples"
        return f"{batches} batches of {self.size} examples"

    def take(self, count: int) -> list[Drawn]:
        """The next `count` batches of this process; fewer at the end of the epoch, none after it."""
        if self.batches is None:
            self.before = self.generator.get_state()
            self.batches = self._draw()
        assert self.rounds is not None
        end = min(self.place + count, self.rounds)
        found = []
        for number in range(self.place, end):
            rows = self.batches[number * self.processes.count + self.processes.rank]
            examples = [self.data.train[row] for row in rows]
            found.append(Drawn(self.data.collate(examples), len(rows)))
        self.place = end
        return found

    def end_epoch(self) -> None:
        """Start a new epoch."""
        self.batches = None
        self.place = 0

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, and what the data remember."""
        assert self.rounds is not None
        parts = [part.state_dict() for part in self._remembering()]
        drawn = self.batches is not None
        # From before the epoch was drawn: the order is drawn again, not stored.
        generator = self.before if drawn else self.generator.get_state()
        examples = {"place": self.place * self.per_round, "usable": self.rounds * self.per_round}
        return {"generator": generator, "drawn": drawn, "data": parts, **examples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the place of a state.

        Args:
            state: what `state_dict` gave.

        Raises:
            ValueError: these processes cannot deal out the examples of an epoch.
        """
        self.rounds = whole_rounds(state["usable"], self.per_round)
        self.place = whole_rounds(state["place"], self.per_round)
        if self.rounds * self.processes.count > self._count():
            raise ValueError(f"{len(self.data.train)} examples are one batch: go on with as many processes as before")
        self.before = state["generator"]
        self.generator.set_state(self.before)
        self.batches = self._draw() if state["drawn"] else None
        for part, saved in zip(self._remembering(), state["data"], strict=True):
            part.load_state_dict(saved)

    def _remembering(self) -> list[Any]:
        return [part for part in (self.data, self.data.train) if hasattr(part, "state_dict")]

    def _count(self) -> int:
        rows = len(self.data.train)
        return rows // self.size if self.drop_last else -(-rows // self.size)

    def _draw(self) -> list[list[int]]:
        """The batches of an epoch."""
        if self.lengths is None:
            _skip_number(self.generator)
            sampler = RandomSampler(range(len(self.data.train)), generator=self.generator)
            return list(BatchSampler(sampler, self.size, self.drop_last))
        _skip_number(None)
        batches = length_batches(
            self.lengths, self.size, self.generator, pool=POOL, drop_last=self.drop_last, keep_empty=True
        )
        return [batch.tolist() for batch in batches]


def _skip_number(generator: torch.Generator | None) -> None:
    """Draw a number that nobody uses. A `DataLoader` draws a seed for its workers here, from its generator or the
    global one: orders and dropout are those of the committed scores, which were made with one."""
    torch.empty((), dtype=torch.int64).random_(generator=generator)


class StreamOrder:
    """Batches of a stream, in its own order. Of several processes, each takes its batch of every round of batches.

    A stream with `per_process = True` gives each process its own batches. Batches that make no whole round at the end
    are dropped.
    """

    def __init__(self, data: Any, processes: Processes) -> None:
        self.data = data
        self.own = getattr(data, "per_process", False)
        self.processes = processes
        self.shards = 1 if self.own else processes.count
        self.shard = 0 if self.own else processes.rank
        self.began_with = self.shards
        """Batches of a round when the training began."""
        self.rounds: int | None = None
        if isinstance(data, Sized):
            self.rounds = len(data) // self.shards
        self.batches: Iterator[Any] | None = None
        self.ended = False
        """Whether the stream ended while batches were taken: what it remembers is then the place of its next epoch."""

    def step_size(self, accumulation: int) -> str:
        """What of a step must be the same for a training that goes on, however many processes share it."""
        if self.own:
            return f"{accumulation} batches of each of {self.processes.count} processes"
        return f"{accumulation * self.shards} batches"

    def take(self, count: int) -> list[Drawn]:
        """The next `count` batches of this process; fewer at the end of the epoch, none after it."""
        if self.ended:
            return []
        if self.batches is None:
            self.batches = iter(self.data)
        batches = list(islice(self.batches, count * self.shards))
        self.ended = len(batches) < count * self.shards
        # By rounds of the processes that training began with, so that another number of them drops the same batches.
        usable = len(batches) // self.began_with * self.began_with
        whole_rounds(usable, self.shards)
        return [Drawn(batch, 1) for batch in batches[self.shard : usable : self.shards]]

    def end_epoch(self) -> None:
        """Start a new epoch."""
        self.batches = None
        self.ended = False

    def state_dict(self) -> dict[str, Any]:
        """What the stream remembers.

        Raises:
            TypeError: it remembers nothing, so that training cannot go on after a stop.
        """
        if not hasattr(self.data, "state_dict"):
            raise TypeError(
                f"{type(self.data).__name__} has no state_dict() and load_state_dict(): "
                "training from it cannot go on after a stop; add them, or train without a folder"
            )
        return {"data": self.data.state_dict(), "began with": self.began_with, "ended": self.ended}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the stream go on from the place of a state.

        Args:
            state: what `state_dict` gave.

        Raises:
            ValueError: these processes cannot deal out the batches of an epoch.
        """
        self.data.load_state_dict(state["data"])
        self.batches = None
        self.ended = state["ended"]
        self.began_with = state["began with"]
        if isinstance(self.data, Sized):
            self.rounds = whole_rounds(len(self.data) // self.began_with * self.began_with, self.shards)


def whole_rounds(size: int, per_round: int) -> int:
    """How many rounds there are.

    Args:
        size: examples or batches in all.
        per_round: of a round.

    Returns:
        The number.

    Raises:
        ValueError: there is a rest, which some process would lack.
    """
    rounds, rest = divmod(size, per_round)
    if rest:
        raise ValueError(
            f"{size} at the end of an epoch cannot be shared out in rounds of {per_round}: the training began with "
            "another number of processes, or batches of another size; go on with those"
        )
    return rounds


class FixedBatches:
    """A stream of whole batches that lie in memory, in their order."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches
        self.place = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        while self.place < len(self.batches):
            self.place += 1
            yield self.batches[self.place - 1]
        self.place = 0

    def state_dict(self) -> dict[str, int]:
        """The place of the next batch."""
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go there."""
        self.place = state["place"]


Order = MapOrder | StreamOrder


def data_order(data: Any, settings: TrainSettings, processes: Processes) -> Order:
    """The order of map-style data, or of a stream.

    Args:
        data: with `train`, `lengths` and `collate`, or an iterable of whole batches.
        settings: size of a batch and seed.
        processes: those that train together.

    Returns:
        The order.

    Raises:
        TypeError: other data.
        ValueError: a size of batches for a stream.
    """
    if hasattr(data, "train") and hasattr(data, "collate"):
        return MapOrder(data, settings, processes)
    if not hasattr(data, "__iter__"):
        raise TypeError(f"{type(data).__name__} is neither map-style (train, lengths, collate) nor an iterable")
    if settings.batch_size is not None:
        raise ValueError(f"a stream gives whole batches: batch_size={settings.batch_size} has no meaning for it")
    return StreamOrder(data, processes)


def total_steps(settings: TrainSettings, order: Order) -> int | None:
    """Steps of the whole training; None where tokens end it, or epochs of a stream without a length."""
    if settings.epochs is None or order.rounds is None:
        return settings.steps
    return settings.epochs * -(-order.rounds // settings.accumulation)
