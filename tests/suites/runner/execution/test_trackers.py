"""Ended cells in experiment trackers."""

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from sparsebench.reports.records.record import Costs, Link, Metric, Record
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.trackers import TRACKERS, Trackers, curve_points, results, run_name, settings

from ..cells import INFO


@pytest.fixture
def record() -> Record:
    return Record(
        id="a" * 16,
        key="b" * 16,
        code="c" * 16,
        cell=replace(INFO, config={"rank": 4, "targets": ["q", "v"], "alpha": None}, then=[Link(method="tune")]),
        status="ok",
        metrics={"unique@1000": Metric(value=0.5, higher_is_better=True, unit="share")},
        main_metric="unique@1000",
        costs=Costs(params_total=7, unit="token"),
        times={"total": 2.5},
        curves={"loss": [(1.0, 3.0), (2.0, 2.0)], "val accuracy": [(2.0, 0.25)]},
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:03+00:00",
    )


def test_every_tracker_of_accelerate_is_known_and_takes_the_arguments(tmp_path: Path) -> None:
    assert set(TRACKERS) == set(LOGGER_TYPE_TO_CLASS)
    for name, (_, arguments) in TRACKERS.items():
        inspect.signature(LOGGER_TYPE_TO_CLASS[name].__init__).bind(None, **arguments("run", tmp_path))


def test_tensorboard_reads_back_what_was_logged(record: Record, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert Trackers(["tensorboard"], tmp_path / "logs").log(record) == []
    events = EventAccumulator(str(tmp_path / "logs" / run_name(record)))
    events.Reload()

    def points(tag: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in events.Scalars(tag)]

    assert points("curve/loss") == [(1, 3.0), (2, 2.0)]
    assert points("curve/val accuracy") == [(2, 0.25)]
    assert points("metric/unique_1000") == [(3, 0.5)]
    assert points("costs/params_total") == [(3, 7.0)]
    assert points("seconds/total") == [(3, 2.5)]
    (file,) = (tmp_path / "logs").rglob("hparams.yml")
    assert "config.dense.rank: 4\n" in file.read_text() and "status: ok\n" in file.read_text()


def test_what_is_logged_is_flat_and_of_plain_types(record: Record) -> None:
    flat = settings(record)
    assert flat["config.dense.targets"] == '["q", "v"]' and flat["config.dense.alpha"] == "null"
    assert flat["seed"] == 0 and flat["record"] == record.id
    assert all(isinstance(value, bool | int | float | str) for value in flat.values())
    assert curve_points(record) == [(1, {"curve/loss": 3.0}), (2, {"curve/loss": 2.0, "curve/val accuracy": 0.25})]
    halves = replace(record, curves={"loss": [(0.5, 3.0), (1.5, 2.0)]})
    assert [step for step, _ in curve_points(halves)] == [0, 1]
    assert results(replace(record, metrics={}, status="failed", reason="why", main_metric=None)) == {
        "costs/params_total": 7,
        "seconds/total": 2.5,
    }


class FakeWandb(ModuleType):
    """What accelerate calls of wandb, without its server."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.calls: list[tuple[str, Any]] = []
        self.config = self
        self.refuses = False

    def init(self, **keywords: Any) -> "FakeWandb":
        if self.refuses:
            raise ConnectionError("no\nserver")
        self.calls.append(("init", keywords))
        return self

    def update(self, values: Any, **keywords: Any) -> None:
        self.calls.append(("config", values))

    def log(self, values: Any, step: int) -> None:
        self.calls.append(("log", (step, values)))

    def finish(self) -> None:
        self.calls.append(("finish", None))


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    fake.__spec__ = inspect.getmodule(pytest).__spec__  # type: ignore[union-attr]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_another_tracker_gets_one_run_for_each_record(wandb: FakeWandb, record: Record, tmp_path: Path) -> None:
    trackers = Trackers(["wandb", "wandb"], tmp_path)
    for each in (record, replace(record, id="d" * 16)):
        assert trackers.log(each) == []
    kinds = [kind for kind, _ in wandb.calls]
    assert kinds == ["init", "config", "log", "log", "log", "finish"] * 2
    assert wandb.calls[0][1] == {"project": "sparsebench", "name": run_name(record), "dir": str(tmp_path)}
    assert [content[0] for kind, content in wandb.calls[:6] if kind == "log"] == [1, 2, 3]


def test_a_tracker_that_fails_is_named_and_stops_nothing(wandb: FakeWandb, record: Record, tmp_path: Path) -> None:
    wandb.refuses = True
    trackers = Trackers(["wandb", "tensorboard"], tmp_path)
    assert trackers.log(record) == [f"wandb did not log {record.id}: no server"]
    assert (tmp_path / run_name(record)).is_dir()


def test_what_is_not_there_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such tracker; did you mean tensorboard"):
        Trackers(["tensorbord"], tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--log-with comet_ml: the package is not installed: pip install comet-ml"):
        Trackers(["comet_ml"], tmp_path)


def test_a_run_logs_every_cell_that_ends(bench) -> None:
    bench.write_toys("toy_fine", "toy_raise", seeds=2)
    done = bench.call(*bench.run_arguments(), "--log-with", "tensorboard")
    assert done.returncode == 1, done.stderr
    runs = sorted(path.name.split("_seed_")[0] for path in (bench.out / "logs").iterdir())
    assert runs == ["molecules_toy_sum_toy_fine_toy_line"] * 2 + ["molecules_toy_sum_toy_raise_toy_line"] * 2
    refused = bench.call("run", "--profile", "smoke", "--log-with", "nothing")
    assert refused.returncode == 2 and "no such tracker" in refused.stderr
