"""Which cells share a process, which are run again alone, and what if these score something else then."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Metric, Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import end_of, failure, now
from sparsebench.suites.runner.execution.executors.local.sharing import Sharing
from sparsebench.suites.runner.execution.executors.local.workers import Attempt
from sparsebench.suites.runner.identity.cell import Cell


def scored(store: Store, cell: Cell, value: float, seconds: float = 0.1) -> Record:
    metric = Metric(value=value, stderr=None, n=1, higher_is_better=True, chance=None, unit="")
    blank = failure(cell, "failed", "as a start", started=now(), seconds=seconds)
    record = replace(blank, status="ok", reason=None, metrics={"accuracy": metric}, main_metric="accuracy")
    return store.write(record, {"correct": [value]})


@pytest.mark.parametrize("alone", [0.5, 0.5 + 2**-53])
def test_a_small_cell_that_followed_others_is_proved(planned: list[Cell], tmp_path: Path, alone: float) -> None:
    store = Store(tmp_path).create()
    sharing = Sharing(store, wanted=True)
    first, second, *_ = planned  # of one kind
    assert not sharing.is_open_to(first)
    end = end_of(scored(store, first, 0.5))
    assert not sharing.wants_again(Attempt(first, 0, None), end)
    assert sharing.is_open_to(second)
    end = end_of(scored(store, second, 0.5))
    assert sharing.wants_again(Attempt(second, 1, None, follows=True), end)
    assert not sharing.is_open_to(second)
    again = end_of(scored(store, second, alone))
    assert not sharing.wants_again(Attempt(second, 2, None), again)
    judged = sharing.judged(second, again)
    assert sharing.is_open_to(first) == (alone == 0.5)
    if alone == 0.5:
        assert judged == again
    else:
        assert judged.status == store.read(second.id).status == "failed"
        assert "0.5 in a process that it shared, 0.5000000000000001 alone" in str(judged.reason)


def test_long_cells_and_runs_without_the_option_share_nothing(planned: list[Cell], tmp_path: Path) -> None:
    store = Store(tmp_path).create()
    for seconds, wanted in ((0.1, False), (1.5, True)):
        sharing = Sharing(store, wanted)
        sharing.wants_again(Attempt(planned[0], 0, None), end_of(scored(store, planned[0], 0.5, seconds)))
        assert not sharing.is_open_to(planned[1])
