"""How long cells take, judged by those that have run."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from sparsebench.reports.records.index.database import Entry
from sparsebench.reports.records.record import CellInfo
from sparsebench.suites.runner.planning import durations as module
from sparsebench.suites.runner.planning.durations import Durations, Remaining, clock

from ..cells import INFO


def cells(rows: int, tasks: int, seeds: int) -> list[CellInfo]:
    found = []
    for row in range(rows):
        for task in range(tasks):
            for seed in range(seeds):
                place = {"label": f"row {row}", "task": f"task {task}", "backbone": f"net {row % 2}"}
                budget = {"epochs": 1 + seed % 2}
                found.append(replace(INFO, seed=seed, suite=f"suite {task % 2}", budget=budget, **place))
    return found


def test_durations_take_the_nearest_kin() -> None:
    durations = Durations()
    assert durations.expect(INFO) is None
    durations.add(INFO, 3.0)
    durations.add(INFO, 5.0)
    assert durations.expect(INFO) == 4.0
    assert durations.expect(replace(INFO, seed=9)) == 4.0
    durations.add(replace(INFO, label="other"), 10.0)
    assert durations.expect(INFO) == 4.0 and durations.expect(replace(INFO, label="new")) == 6.0
    assert durations.expect(replace(INFO, task="another", backbone="n", label="x")) == 6.0


def test_a_row_with_other_epochs_takes_its_time_by_the_epoch() -> None:
    durations = Durations()
    short, long = (replace(INFO, budget={"epochs": epochs, "batch_size": 8}) for epochs in (2, 20))
    durations.add(short, 3.0)
    assert (durations.expect(short), durations.expect(long)) == (3.0, 30.0)
    assert durations.remaining([short, long, long], 1) == 63.0
    durations.add(long, 10.0)
    assert (durations.expect(short), durations.expect(long)) == (3.0, 10.0), "what ran for as long says more"
    steps = replace(INFO, budget={"steps": 7})
    assert durations.expect(steps) == 6.5, "of another unit only the mean is known"


def test_a_row_that_does_not_train_takes_as_long_by_any_budget() -> None:
    """An evaluation of two minutes counted as half an hour beside a training of fourteen times the tokens."""
    short, long = (replace(INFO, budget={"tokens": tokens}) for tokens in (98_304, 1_376_256))
    durations = Durations()
    durations.add(short, 120.0, trained=False)
    durations.add(replace(short, seed=1), 140.0, trained=False)
    assert durations.expect(long) == 130.0 and durations.remaining([short, long], 1) == 260.0
    remaining = Remaining([short, long], Durations())
    remaining.drop(short)
    remaining.learn(short, 120.0, trained=False)
    assert remaining.seconds(1) == 120.0
    common = {"id": "i", "key": "k", "code": "c", "status": "ok", "reason": None, "seconds": 4.0, "finished": ""}
    place = {"suite": INFO.suite, "task": INFO.task, "label": INFO.label, "backbone": INFO.backbone}
    entry = Entry(**common, **place, budget='{"tokens": 98304}', trained=False)
    assert Durations.of([entry]).expect(long) == 4.0


def test_entries_of_an_index_say_their_budget() -> None:
    place = {"suite": INFO.suite, "task": INFO.task, "label": INFO.label, "backbone": INFO.backbone, "reason": None}
    common = {"id": "i", "key": "k", "code": "c", "status": "ok", "seconds": 4.0, "finished": ""}
    durations = Durations.of([Entry(**common, **place, budget='{"epochs": 4}')])
    assert durations.expect(replace(INFO, budget={"epochs": 1})) == 1.0


def test_cells_without_a_score_teach_nothing() -> None:
    kinds = {"suite": INFO.suite, "task": INFO.task, "label": INFO.label, "backbone": INFO.backbone}
    common = {"id": "i", "key": "k", "code": "c", "reason": None, "finished": ""}
    entries = [Entry(status=status, seconds=9.0, **common, **kinds) for status in ("timeout", "failed", "n/a")]
    assert Durations.of(entries).expect(INFO) is None
    assert Durations.of([*entries, replace(entries[0], status="ok", seconds=2.0)]).expect(INFO) == 2.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 m 00 s"), (185, "3 m 05 s"), (7800, "2 h 10 m")]
)
def test_seconds_for_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_what_is_left_is_shared_by_the_workers() -> None:
    infos = cells(2, 1, 2)
    durations = Durations()
    assert durations.remaining(infos, 2) is None and durations.remaining([], 2) == 0.0
    durations.add(infos[0], 6.0)
    assert durations.remaining(infos, 2) == (6 + 12 + 6 + 6) / 2, "one has twice the epochs"


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_up_to_date_is_what_a_new_sum_would_be(seed: int) -> None:
    draw = random.Random(seed)
    left = cells(6, 5, 2)
    draw.shuffle(left)
    durations = Durations()
    for info in left[:seed]:
        durations.add(info, 2.0)
    remaining = Remaining(left, durations)
    while left:
        assert remaining.seconds(2) == pytest.approx(durations.remaining(left, 2))
        info = left.pop()
        remaining.drop(info)
        if draw.random() < 0.7:
            remaining.learn(info, draw.uniform(0.1, 100))
    assert remaining.seconds(2) == 0.0


def steps(count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many figures are looked up while so many cells end, one row and task each."""
    calls = 0

    def watch(function: Callable) -> Callable:
        def counting(*arguments):
            nonlocal calls
            calls += 1
            return function(*arguments)

        return counting

    infos = cells(count // 10, 10, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Durations, "mean", watch(Durations.mean))
        patch.setattr(Remaining, "_count", watch(Remaining._count))
        patch.setattr(module, "kin", watch(module.kin))
        remaining = Remaining(infos, Durations())
        for info in infos:
            remaining.drop(info)
            remaining.learn(info, 1.0)
            remaining.seconds(2)
    return calls


def test_all_events_together_take_time_linear_in_the_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum over all cells that are left, at each event, takes a hundred times the steps for ten times the cells."""
    assert steps(2000, monkeypatch) < 11 * steps(200, monkeypatch) < 11 * 60 * 200
