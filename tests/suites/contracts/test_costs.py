"""Parameters, operations, bytes, time and memory of a model."""

import time

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts import costs
from sparsebench.suites.contracts.costs import (
    Clock,
    call_seconds,
    clock,
    cpu_seconds,
    measure_costs,
    memory,
    peak_rss,
    reset_peaks,
)


def test_costs_of_a_linear_layer_by_hand() -> None:
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.Dropout(0.5)).train()
    model[0].requires_grad_(False)
    found = measure_costs(model, lambda m: m(torch.ones(5, 8)), units=5, unit="token")
    assert (found.params_total, found.params_trainable, found.params_nonzero) == (32, 0, 32)
    assert found.flops == 2 * 8 * 4 and found.unit == "token"
    assert found.latency_ms is not None and found.latency_ms > 0
    assert not model.training, "dropout would be measured too"


def test_time_is_the_median_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(costs, "process_time", lambda: next(ticks))
    calls = []
    assert cpu_seconds(lambda: calls.append(1)) == 2.0
    assert len(calls) == 4


class Accelerator:
    """Work is launched at once and done, three seconds later each, by the time that somebody waits for it."""

    def __init__(self) -> None:
        self.wall = 0.0
        self.launched = 0

    def launch(self) -> None:
        self.launched += 1

    def synchronize(self, device: torch.device) -> None:
        assert device.type == "meta"
        self.wall += 3.0 * self.launched
        self.launched = 0


def test_on_an_accelerator_the_work_is_timed_and_not_its_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Accelerator()
    monkeypatch.setattr(torch, "get_device_module", lambda device: there)
    monkeypatch.setattr(costs, "perf_counter", lambda: there.wall)
    model = nn.Linear(2, 2, device="meta")
    assert call_seconds(lambda _: there.launch(), model) == 3.0


def test_a_model_without_parameters_is_timed_as_one_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for model in (nn.ReLU(), nn.Linear(1, 1)):
        ticks = iter([0.0, 1.0, 1.0, 2.0, 2.0, 3.0])
        monkeypatch.setattr(costs, "process_time", lambda ticks=ticks: next(ticks))
        assert call_seconds(lambda _: None, model) == 1.0


def test_the_clock_of_a_processor_is_wall_time() -> None:
    assert clock(torch.device("cpu")) is time.perf_counter


def test_the_peak_is_that_since_the_reset() -> None:
    reset_peaks(torch.device("cpu"))
    before = peak_rss()
    block = torch.ones(40_000_000)  # 160 MB
    assert peak_rss() > before + 100e6
    del block


def test_the_peak_of_a_card_starts_anew_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    reset_peaks(torch.device("cpu"))
    assert not asked
    reset_peaks(torch.device("cuda", 1))
    assert asked == [torch.device("cuda", 1)]


def test_each_phase_begins_where_the_one_before_ended() -> None:
    phases = Clock()
    time.sleep(0.02)
    phases.stop("load")
    phases.stop("fit")
    assert list(phases.seconds) == ["load", "fit"]
    assert phases.seconds["load"] >= 0.02 > phases.seconds["fit"] >= 0


def test_memory_is_read_by_its_name_where_the_system_says_it() -> None:
    now = memory("VmRSS")
    most = memory("VmHWM")
    if now is None or most is None:
        pytest.skip("not Linux")
    assert 1_000_000 < now <= most
    assert memory("VmNothing") is None
