"""`speed`: the table, the exit codes, Ctrl-C."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.reports.page.speed import SpeedLine, SpeedReport

from ..conftest import Bench
from .conftest import Call

LINE = SpeedLine(
    group="MoE forward", name="eager", role="ours", median=1, iqr=0, rounds=9, peer="stock", ratio=2.5, floor=None
)
SHORT = SpeedReport("cpu", (LINE,), targets=1, short=("test_a: 1.5 times as fast, wanted 2 at the least",))


@pytest.fixture
def gives(monkeypatch: pytest.MonkeyPatch) -> Callable[[SpeedReport | None], list]:
    """Puts a report in the place of a run; gives the calls."""

    def give(report: SpeedReport | None) -> list:
        calls: list = []
        monkeypatch.setattr("sparsebench.suites.runner.speed.choose", lambda names: list(names))
        monkeypatch.setattr(
            "sparsebench.suites.runner.speed.run_speed",
            lambda *arguments, **options: calls.append((*arguments, options)) or report,
        )
        return calls

    return give


def test_a_target_that_is_missed_is_said_and_no_failure(sparsebench: Call, gives: Callable) -> None:
    calls = gives(SHORT)
    code, out, err = sparsebench("speed", "--only", "moe", "--only", "idat", "--out", "mine")
    assert (code, err) == (0, "")
    assert calls == [(Path("mine"), ["moe", "idat"], {"full": False, "check": False})]
    for part in ("stock", "2.50", "wanted 2 at the least", "sparsebench report mine puts them on its page"):
        assert part in " ".join(out.split())


@pytest.mark.parametrize("report", [SpeedReport("cpu", (), failed=("test_b",)), None])
def test_a_cell_that_failed_or_no_figure_at_all_is_exit_code_1(
    sparsebench: Call, gives: Callable, report: SpeedReport | None
) -> None:
    calls = gives(report)
    code, out, err = sparsebench("speed", "--full", "--check")
    assert code == 1
    assert calls == [(Path("results/quick"), [], {"full": True, "check": True})]
    assert ("1 speed tests failed: test_b" in out) == (report is not None)
    assert ("nothing was timed" in err) == (report is None)


def test_ctrl_c_leaves_the_earlier_figures_and_nothing_else(bench: Bench) -> None:
    folder = bench.folder / "site" / "sparsebench" / "speed"
    folder.mkdir(parents=True)
    (folder / "pytest.ini").write_text((Path(__file__).parents[3] / "speed" / "pytest.ini").read_text())
    (folder / "test_long_speed.py").write_text(
        "import pathlib, time\n\n\ndef test_long(benchmark):\n    benchmark.pedantic(sum, args=((1, 2),), rounds=5)\n"
        f"    pathlib.Path({str(bench.folder / 'started')!r}).touch()\n    time.sleep(60)\n"
    )
    bench.environment["PYTHONPATH"] = str(bench.folder / "site")
    bench.out.mkdir()
    (bench.out / "speed.json").write_text("earlier")
    process = bench.start("speed", "--only", "long", "--out", str(bench.out))
    deadline = time.monotonic() + 60
    while not (bench.folder / "started").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130, out
    assert "stopped; no figure was written" in out
    assert (bench.out / "speed.json").read_text() == "earlier"
    assert not [path.name for path in bench.out.iterdir() if path.name.startswith(".")]
