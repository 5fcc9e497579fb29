"""Batches of map-style data and of streams: their order, examples of similar length, the place in an epoch."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from sparsebench.suites.training.data_order import FixedBatches, MapOrder, StreamOrder, data_order
from sparsebench.suites.training.processes import Processes
from sparsebench.suites.training.settings import TrainSettings

CPU = torch.device("cpu")


class Rows:
    """Numbers, each as long as itself if `lengths` says so."""

    def __init__(self, count: int, padded: bool) -> None:
        self.train = list(range(1, count + 1))
        self.lengths = self.train if padded else None

    def collate(self, examples: list[Any]) -> list[int]:
        return list(examples)


class Counting:
    """A stream of 0, 1, ..., `end` - 1 that remembers where it is."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.next = 0

    def __iter__(self) -> Iterator[int]:
        while self.next < self.end:
            self.next += 1
            yield self.next - 1
        self.next = 0

    def state_dict(self) -> dict[str, int]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next = state["next"]


def processes(rank: int = 0, count: int = 1) -> Processes:
    found = Processes(CPU)
    found.rank = rank
    found.count = count
    return found


def order(data: Any, rank: int = 0, count: int = 1, seed: int = 0) -> Any:
    batch_size = 4 if hasattr(data, "train") else None
    return data_order(data, TrainSettings(epochs=1, batch_size=batch_size, seed=seed), processes(rank, count))


def epoch(order: MapOrder | StreamOrder) -> list[Any]:
    found = []
    while drawn := order.take(3):
        found += [one.batch for one in drawn]
    order.end_epoch()
    return found


def test_batches_of_similar_lengths_hold_every_example_once() -> None:
    data = Rows(1, padded=True)
    lengths = torch.randint(1, 60, (496,), generator=torch.Generator().manual_seed(0)).tolist()
    data.train = list(range(496))
    data.lengths = lengths
    batches = epoch(order(data))
    assert sorted(row for batch in batches for row in batch) == list(range(496))
    assert {len(batch) for batch in batches} == {4}
    padding = sum(max(lengths[row] for row in batch) * len(batch) for batch in batches) / sum(lengths)
    assert padding < 1.15, "random batches of 4 are padded to 1.6 times their tokens"


@pytest.mark.parametrize("padded", [False, True])
def test_a_last_smaller_batch_is_dropped_unless_it_is_the_only_one(padded: bool) -> None:
    assert [len(batch) for batch in epoch(order(Rows(10, padded)))] == [4, 4]
    assert [len(batch) for batch in epoch(order(Rows(3, padded)))] == [3]


@pytest.mark.parametrize("padded", [False, True])
def test_the_order_is_new_in_each_epoch_and_the_same_for_each_run(padded: bool) -> None:
    here = order(Rows(40, padded))
    first, second = epoch(here), epoch(here)
    again = order(Rows(40, padded))
    assert first != second and [first, second] == [epoch(again), epoch(again)]
    assert sorted(row for batch in first for row in batch) == list(range(1, 41))
    assert first != epoch(order(Rows(40, padded), seed=1))


def test_the_order_is_that_of_a_data_loader() -> None:
    data = Rows(10, padded=False)
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(data.train, 4, shuffle=True, drop_last=True, generator=generator, collate_fn=data.collate)
    here = order(data, seed=3)
    for _ in range(3):
        assert epoch(here) == list(loader)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("taken", [0, 1, 4, 10])
def test_an_order_goes_on_from_its_place(padded: bool, taken: int) -> None:
    here = order(Rows(40, padded))
    epoch(here)
    here.take(taken)
    state = here.state_dict()
    there = order(Rows(40, padded))
    there.load_state_dict(state)
    assert [epoch(here), epoch(here)] == [epoch(there), epoch(there)]


def test_processes_share_each_round_of_batches() -> None:
    whole = epoch(order(Rows(40, False)))
    parts = [epoch(order(Rows(40, False), rank, 3)) for rank in range(3)]
    assert [batch for round in zip(*parts, strict=True) for batch in round] == whole[:9], "the tenth makes no round"
    assert [epoch(order(Counting(7), rank, 2)) for rank in range(2)] == [[0, 2, 4], [1, 3, 5]]
    own = Counting(7)
    own.per_process = True  # type: ignore[attr-defined]
    assert epoch(order(own, 1, 2)) == list(range(7))


def test_a_stream_goes_on_from_its_place_and_has_epochs() -> None:
    here = order(Counting(7))
    here.take(3)
    there = order(Counting(7))
    there.load_state_dict(here.state_dict())
    assert epoch(there) == [3, 4, 5, 6] and epoch(there) == list(range(7))


def test_batches_in_memory_come_in_their_order() -> None:
    here = order(FixedBatches("abc"))
    assert here.rounds == 3 and epoch(here) == epoch(here) == ["a", "b", "c"]
    here.take(2)
    there = order(FixedBatches("abc"))
    there.load_state_dict(here.state_dict())
    assert epoch(there) == ["c"] and epoch(there) == ["a", "b", "c"]


def test_what_the_data_remember_is_part_of_the_place() -> None:
    class Drawing(list):
        def __init__(self, rows: range) -> None:
            super().__init__(rows)
            self.draws = torch.Generator().manual_seed(0)

        def __getitem__(self, row: Any) -> Any:
            return super().__getitem__(row), float(torch.rand((), generator=self.draws))

        def state_dict(self) -> dict[str, Any]:
            return {"draws": self.draws.get_state()}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.draws.set_state(state["draws"])

    def drawing() -> Any:
        data = Rows(1, padded=False)
        data.train = Drawing(range(12))
        return order(data)

    here = drawing()
    here.take(1)
    there = drawing()
    there.load_state_dict(here.state_dict())
    assert epoch(here) == epoch(there)


def test_data_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TypeError, match="neither map-style"):
        data_order(7, TrainSettings(steps=1), processes())
    with pytest.raises(ValueError, match="need a batch_size"):
        data_order(Rows(4, False), TrainSettings(steps=1), processes())
    with pytest.raises(ValueError, match="whole batches"):
        data_order(Counting(4), TrainSettings(steps=1, batch_size=2), processes())
    with pytest.raises(ValueError, match="no batch of 4 for each process"):
        order(Rows(4, False), 0, 2)
    with pytest.raises(TypeError, match="cannot go on after a stop"):
        order(range(4)).state_dict()


class Cut:
    """An order whose batches may be cut anew: `size` examples in each, `accumulation` batches in a step."""

    def __init__(self, data: Any, count: int, size: int | None, accumulation: int) -> None:
        settings = TrainSettings(epochs=1, batch_size=size, accumulation=accumulation)
        self.orders = [data_order(data(), settings, processes(rank, count)) for rank in range(count)]
        self.accumulation = accumulation

    def step(self) -> list[Any]:
        """What all processes see in a step together, in any order; [] at the end of an epoch."""
        seen: list[Any] = []
        taken = [order.take(self.accumulation) for order in self.orders]
        assert len({len(drawn) for drawn in taken}) == 1, "every process has as many batches"
        for drawn in taken:
            for one in drawn:
                seen += one.batch if isinstance(one.batch, list) else [one.batch]
        if not seen:
            for order in self.orders:
                order.end_epoch()
        return sorted(seen)

    def go_on(self, other: "Cut") -> "Cut":
        """`other` from the place of this one."""
        assert {order.step_size(self.accumulation) for order in self.orders} == {
            order.step_size(other.accumulation) for order in other.orders
        }
        for order in other.orders:
            order.load_state_dict(self.orders[0].state_dict())
        return other


def steps(order: Cut, count: int) -> list[list[Any]]:
    return [order.step() for _ in range(count)]


@pytest.mark.parametrize("stop", [0, 1, 2, 5, 7, 12])
@pytest.mark.parametrize("cut", [(8, 1), (4, 2), (2, 4)])
def test_two_then_one_then_two_processes_see_the_same_examples(stop: int, cut: tuple[int, int]) -> None:
    """22 examples make two rounds of eight for two processes; six are dropped in each epoch, then too."""
    rows = lambda: Rows(22, padded=False)  # noqa: E731
    whole = steps(Cut(rows, 2, 4, 1), 20)
    assert [len(step) for step in whole[:4]] == [8, 8, 0, 8]
    two = Cut(rows, 2, 4, 1)
    seen = steps(two, stop)
    one = two.go_on(Cut(rows, 1, *cut))
    seen += steps(one, 4)
    again = one.go_on(Cut(rows, 2, 4, 1))
    seen += steps(again, 16 - stop)
    assert seen == whole
    assert again.orders[0].rounds == 2


@pytest.mark.parametrize("stop", [0, 1, 3, 4, 6])
def test_a_stream_goes_on_in_other_processes(stop: int) -> None:
    """Of 11 batches, two processes that take two each see ten an epoch, in three steps."""
    data = lambda: Counting(11)  # noqa: E731
    whole = steps(Cut(data, 2, None, 2), 14)
    assert whole[:5] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [], [0, 1, 2, 3]]
    two = Cut(data, 2, None, 2)
    seen = steps(two, stop)
    one = two.go_on(Cut(data, 1, None, 4))
    seen += steps(one, 3)
    again = one.go_on(Cut(data, 2, None, 2))
    seen += steps(again, 11 - stop)
    assert seen == whole


def test_examples_by_length_keep_their_batches() -> None:
    rows = lambda: Rows(40, padded=True)  # noqa: E731
    two = Cut(rows, 2, 4, 1)
    whole = steps(Cut(rows, 2, 4, 1), 9)
    assert steps(two, 2) + steps(two.go_on(Cut(rows, 1, 4, 2)), 7) == whole
    other = Cut(rows, 1, 8, 1).orders[0]
    assert other.step_size(1) == "1 batches of 8 examples" != two.orders[0].step_size(1) == "2 batches of 4 examples"


def test_what_other_processes_cannot_share_out_is_refused() -> None:
    one = Cut(lambda: Rows(14, padded=False), 1, 4, 2)  # batches of 4, two in the first step, one in the last
    with pytest.raises(ValueError, match="12 at the end of an epoch cannot be shared out in rounds of 8"):
        one.go_on(Cut(lambda: Rows(14, padded=False), 2, 4, 1))
    assert len(steps(one.go_on(Cut(lambda: Rows(14, padded=False), 2, 2, 2)), 2)[1]) == 4
    small = Cut(lambda: Rows(3, padded=False), 1, 4, 1)
    with pytest.raises(ValueError, match="3 examples are one batch"):
        small.go_on(Cut(lambda: Rows(3, padded=False), 1, 1, 4))
    stream = Cut(lambda: Counting(3), 1, None, 2)
    stream.step()
    two = stream.go_on(Cut(lambda: Counting(3), 2, None, 1))
    with pytest.raises(ValueError, match="1 at the end of an epoch cannot be shared out in rounds of 2"):
        two.orders[0].take(1)
    own = Counting(4)
    own.per_process = True  # type: ignore[attr-defined]
    assert order(own, 0, 2).step_size(3) == "3 batches of each of 2 processes" != order(own).step_size(6)


def test_a_stream_that_ended_within_a_step_does_not_come_again() -> None:
    """The batches of a step may be the last ones of the stream; the place that it then remembers is its start."""
    here = order(FixedBatches("abcde"))
    assert [one.batch for one in here.take(3) + here.take(3)] == list("abcde")
    there = order(FixedBatches("abcde"))
    there.load_state_dict(here.state_dict())
    assert there.take(3) == []
    there.end_epoch()
    assert [one.batch for one in there.take(3)] == list("abc")
