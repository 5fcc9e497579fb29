"""How fast this machine multiplies matrices."""

from time import perf_counter

import pytest
import torch

from sparsebench.suites.training.machine import product_rate as module
from sparsebench.suites.training.machine.product_rate import SIZE, product_rate

CPU = torch.device("cpu")


def test_it_is_that_of_a_large_product_and_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_rng_state()
    rate = product_rate(CPU, torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    matrix = torch.ones(SIZE, SIZE)
    times = []
    for _ in range(5):
        start = perf_counter()
        torch.matmul(matrix, matrix)
        times.append(perf_counter() - start)
    assert 0.05 < rate * min(times) / (2 * SIZE**3) < 20  # other processes may have the processor meanwhile
    monkeypatch.setattr(module, "_timed", None)
    assert product_rate(CPU, torch.float32) == rate


def test_types_and_threads_are_distinguished(monkeypatch: pytest.MonkeyPatch) -> None:
    module._measured.cache_clear()
    taken = iter((9.0, 3.0, 1.0, 2.0, 9.0))
    monkeypatch.setattr(module, "SECONDS", 5.5)
    monkeypatch.setattr(module, "_timed", lambda matrix: next(taken))
    assert product_rate(CPU, torch.float32) == 2 * SIZE**3  # the fastest, of as many as there was time for
    taken = iter((1.0, 6.0))
    assert product_rate(CPU, torch.bfloat16) == 2 * SIZE**3 / 6
    threads = torch.get_num_threads()
    taken = iter((1.0, 8.0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert product_rate(CPU, torch.float32) == 2 * SIZE**3 / 8
    module._measured.cache_clear()
