"""Where the kernels cannot be had: `status` says why, and PyTorch's operators compute the same."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models.moe.experts import native
from sparsebench.models.moe.experts.native import OPTIONAL, SOURCE, Native
from sparsebench.models.native import build
from sparsebench.models.native.build import SWITCH, NotAvailableError

Cases = Callable[..., Any]
ABLE = frozenset((*build.NEEDED, "avx512_bf16"))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An able processor, an empty cache, and nothing loaded yet."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_processor", lambda: ABLE)
    monkeypatch.setattr(native, "_load", functools.cache(native._load.__wrapped__))
    return monkeypatch


def script(path: Path, text: str) -> str:
    """A compiler of our own."""
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def assert_falls_back(case: Cases, reason: str) -> None:
    assert native.native() is None
    assert native.status().startswith("C++ experts: not in use (")
    assert reason in native.status()
    for tokens in (1, 2, 20):
        made = case(tokens, 16, 12, 4, 2, drop=True)
        torch.testing.assert_close(made.run().double(), made.oracle(), atol=1e-5, rtol=1e-5)


def test_switched_off(case: Cases, fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv(SWITCH, "0")
    assert_falls_back(case, f"{SWITCH}=0")


def test_processor_without_avx512(case: Cases, fresh: pytest.MonkeyPatch) -> None:
    fresh.setattr(build, "_processor", lambda: frozenset({"avx2", "avx512f"}))
    assert_falls_back(case, "the processor has no avx512bw, avx512vl, avx512dq")


def test_processor_unknown(case: Cases, fresh: pytest.MonkeyPatch) -> None:
    def nothing() -> frozenset[str]:
        raise NotAvailableError("the processor's features cannot be read: No such file or directory")

    fresh.setattr(build, "_processor", nothing)
    assert_falls_back(case, "cannot be read")


def test_no_compiler(case: Cases, fresh: pytest.MonkeyPatch) -> None:
    fresh.delenv("CXX", raising=False)
    fresh.setattr(build.shutil, "which", lambda name: None)
    assert_falls_back(case, "there is no C++ compiler")


def test_compiler_that_is_not_there(case: Cases, fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv("CXX", "/nonexistent/c++")
    assert_falls_back(case, "/nonexistent/c++ cannot be started: No such file or directory")


def test_compiler_that_fails(case: Cases, fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setenv("CXX", script(tmp_path / "cxx", "echo 'unknown option' >&2\nexit 1\n"))
    assert_falls_back(case, "cxx failed: unknown option")
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_compiler_that_writes_rubbish(case: Cases, fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setenv("CXX", script(tmp_path / "cxx", 'for last; do :; done\necho rubbish > "$last"\n'))
    assert_falls_back(case, "cannot be loaded")


def test_cache_that_cannot_be_written(case: Cases, fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fresh.setenv("SPARSEBENCH_CACHE", str(tmp_path / "file"))
    assert_falls_back(case, "cannot be written")


def test_what_was_used_is_told_once(library: Native) -> None:
    native.take_use()
    assert native.take_use() is None
    assert native.native() is library
    built = native.take_use()
    # Another test may have had it built in a cache of its own, where this process has opened it.
    assert built is not None and built.sha256 == build.library(SOURCE, optional=OPTIONAL).sha256
    assert native.take_use() is None


def test_status_in_use(library: Native) -> None:
    assert native.status().startswith("C++ experts: in use, AVX-512 for float32")


def python(code: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in (SWITCH, "CXX", "SPARSEBENCH_CACHE")}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=kept | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_processes_at_once_compile_once(library: Native, tmp_path: Path) -> None:
    finished = build.library(SOURCE).path
    log = tmp_path / "log"
    compiler = script(tmp_path / "cxx", f'echo ran >> {log}\nsleep 1\nfor last; do :; done\ncp "{finished}" "$last"\n')
    code = "from sparsebench.models.moe.experts.native import status; print(status())"
    processes = [python(code, CXX=compiler, SPARSEBENCH_CACHE=str(tmp_path / "cache")) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert out.startswith("C++ experts: in use"), err
    assert log.read_text() == "ran\n"


def test_same_numbers_with_the_switch_off(case: Cases, tmp_path: Path) -> None:
    made = case(20, 40, 24, 4, 2, drop=True)
    torch.save(tuple(made), tmp_path / "inputs.pt")
    code = f"""
import torch
from torch.nn.functional import silu
from sparsebench.models.moe.experts.dispatch import Weights, run_experts
from sparsebench.models.moe.experts.native import status
x, index, weight, gate_up, down = torch.load({str(tmp_path / "inputs.pt")!r})
torch.save(run_experts(x, index, weight, Weights(gate_up, down, None, True, silu)), {str(tmp_path / "out.pt")!r})
print(status())
"""
    out, err = python(code, **{SWITCH: "0"}).communicate(timeout=100)
    assert out.startswith(f"C++ experts: not in use ({SWITCH}=0)"), err
    torch.testing.assert_close(torch.load(tmp_path / "out.pt"), made.run(), atol=1e-5, rtol=1e-5)
