import functools

import pytest

from sparsebench.models.moe.experts import native
from sparsebench.suites.runner.doctor import diagnosis


def test_says_whether_the_kernels_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_load", functools.cache(native._load.__wrapped__))
    monkeypatch.setenv("SPARSEBENCH_NATIVE", "0")
    line = "C++ experts: not in use (SPARSEBENCH_NATIVE=0); PyTorch operators instead"
    assert line in diagnosis().splitlines()
