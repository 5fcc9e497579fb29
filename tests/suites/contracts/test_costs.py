"""Parameters, operations, bytes, time and memory of a model."""

import time

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts import costs
from sparsebench.suites.contracts.costs import Clock, cpu_seconds, measure_costs, memory, peak_rss, reset_peak_rss


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


def test_the_peak_is_that_since_the_reset() -> None:
    reset_peak_rss()
    before = peak_rss()
    block = torch.ones(40_000_000)  # 160 MB
    assert peak_rss() > before + 100e6
    del block


def test_each_phase_begins_where_the_one_before_ended() -> None:
    clock = Clock()
    time.sleep(0.02)
    clock.stop("load")
    clock.stop("fit")
    assert list(clock.seconds) == ["load", "fit"]
    assert clock.seconds["load"] >= 0.02 > clock.seconds["fit"] >= 0


def test_memory_is_read_by_its_name_where_the_system_says_it() -> None:
    now = memory("VmRSS")
    most = memory("VmHWM")
    if now is None or most is None:
        pytest.skip("not Linux")
    assert 1_000_000 < now <= most
    assert memory("VmNothing") is None
