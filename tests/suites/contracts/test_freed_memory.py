"""Freed memory stays with the process while it trains, and while it evaluates."""

import resource
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts import freed_memory
from sparsebench.suites.contracts.freed_memory import freed_memory_kept
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.execution import execute
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.data_order import FixedBatches
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.loop import train
from sparsebench.suites.training.settings import TrainSettings

from ..runner.cells import planned_cells

SIZE = 64 << 20
PAGES = SIZE // resource.getpagesize()


def new_pages() -> int:
    """Pages that the system had to clear for a tensor of `SIZE` bytes; some, for other things, may be among them."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(SIZE, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.fixture(autouse=True)
def small_pages() -> Iterator[None]:
    """Where the system gives large pages, there are too few of them to count."""
    new_pages()
    if new_pages() < PAGES / 2:
        pytest.skip("this system or allocator gives no small pages: nothing to count")
    yield


def test_memory_comes_from_the_system_once() -> None:
    with freed_memory_kept():
        new_pages()
        assert max(new_pages() for _ in range(3)) < PAGES / 16
    assert new_pages() > PAGES / 2


def test_a_block_inside_of_another_does_not_end_it() -> None:
    with freed_memory_kept():
        with freed_memory_kept():
            new_pages()
        assert max(new_pages() for _ in range(3)) < PAGES / 16
    assert new_pages() > PAGES / 2


def test_it_goes_back_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="broken"), freed_memory_kept():
        raise RuntimeError("broken")
    new_pages()
    assert new_pages() > PAGES / 2


def test_another_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory, "_glibc", lambda: None)
    with freed_memory_kept():
        new_pages()
        assert new_pages() > PAGES / 2


def test_the_loop_keeps_it() -> None:
    found = []

    class Pages(Callback):
        def on_step(self, state: TrainingState) -> None:
            found.append(new_pages())

    model = nn.Linear(2, 1)
    train(
        model,
        FixedBatches([torch.ones(3, 2)] * 4),
        lambda model, batch: model(batch).square().mean(),
        groups=[Group(name="model", parameters=list(model.parameters()), learning_rate=0.1)],
        settings=TrainSettings(epochs=1),
        callbacks=[Pages()],
    )
    assert len(found) == 4 and max(found[1:]) < PAGES / 16
    assert new_pages() > PAGES / 2


def test_evaluation_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def evaluate(*_: object) -> Scores:
        found.extend(new_pages() for _ in range(3))
        return Scores("accuracy", {"accuracy": Metric(value=0.5, higher_is_better=True, unit="share")}, {})

    (cell,) = planned_cells("vtab", "linear_probe", test_examples=16)
    monkeypatch.setattr(type(load_task(cell.parts.task)), "evaluate", evaluate)
    record = execute.run_cell(cell, None).record
    assert record.status == "ok", record.reason
    assert len(found) == 3 and max(found[1:]) < PAGES / 16
    assert new_pages() > PAGES / 2
