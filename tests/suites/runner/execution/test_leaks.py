"""What a cell of a plug-in leaves behind reaches no other cell, and nothing of it outlives the run."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sparsebench.reports.store import Store

LEAKS = {
    "dtype": "left behind: default dtype torch.float64 (was torch.float32)",
    "gradients": "left behind: gradients False",
    "numpy": "left behind: errors of numpy",
    "thread": "left behind: thread left over",
    "directory": "left behind: working directory /",
    "child": "left behind: child process",
}


def profile(*whats: str, clean: bool = False) -> dict:
    """A row for each; `clean` puts one that does nothing behind each."""
    rows: list = []
    for number, what in enumerate(whats):
        rows.append({"name": "toy_leak", "config": {"what": what}, "label": what})
        if clean:
            rows.append({"name": "toy_leak", "config": {"number": number}, "label": f"clean {number}"})
    return {"molecules": {"seeds": 1, "backbones": ["toy_line"], "methods": rows, "tasks": ["toy_sum"]}}


def records(out: Path) -> dict:
    return {record.cell.label: record for record in Store(out).open().read_all()[0]}


def processes_of(bench) -> list[psutil.Process]:
    """All processes that have inherited the environment of the bench."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("BENCH_OF_THE_TEST") == str(bench.folder):
                found.append(process)
    return found


def test_no_other_cell_changes(bench) -> None:
    """R3 and R6: each leak is named in its own record, and the score of the next cell is what it is alone."""
    bench.environment["BENCH_OF_THE_TEST"] = str(bench.folder)
    bench.write_profile(profile(*LEAKS, clean=True))
    arguments = bench.run_arguments(workers=1)
    arguments[arguments.index("--out") + 1] = "here"  # relative, as the default is
    done = subprocess.run(
        bench.command(*arguments), env=bench.environment, cwd=bench.folder, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = records(bench.folder / "here")
    bench.write_profile(profile(""))
    alone = bench.call(*bench.run_arguments(workers=1))
    assert alone.returncode == 0, alone.stdout + alone.stderr
    (expected,) = records(bench.out).values()
    for number, (what, line) in enumerate(LEAKS.items()):
        assert any(warning.startswith(line) for warning in found[what].warnings), found[what].warnings
        clean = found[f"clean {number}"]
        assert clean.metrics == expected.metrics, what
        assert clean.warnings == []
    assert processes_of(bench) == []


def test_children_do_not_speak_for_their_worker(bench) -> None:
    """R8 and R14: processes that a cell starts, and ends that have no name or a text of their own."""
    ends = ["returning_child", "loader", "exit", "interrupt", "real_time_signal", "speaking_child"]
    bench.environment["BENCH_OF_THE_TEST"] = str(bench.folder)
    bench.write_profile(profile(*ends, clean=True))
    done = bench.call(*bench.run_arguments(workers=1), timeout=400)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    found = records(bench.out)
    assert len(found) == 2 * len(ends)
    assert [found[f"clean {number}"].status for number in range(len(ends))] == ["ok"] * len(ends)
    assert found["returning_child"].status == "ok"
    assert found["loader"].status == "ok", found["loader"].reason
    assert found["exit"].reason == "SystemExit: the cell left"
    assert found["interrupt"].reason == "KeyboardInterrupt: the cell pressed a key"
    assert found["real_time_signal"].reason == "lost its worker twice: worker process killed by signal 40"
    assert found["speaking_child"].status == "ok"
    assert processes_of(bench) == []


def test_a_crash_does_not_show_an_older_record(bench) -> None:
    """R4: with --reuse never, the crash of the second run is its result."""
    bench.write_profile(profile("crash_when_told"))
    first = bench.call(*bench.run_arguments(workers=1))
    assert first.returncode == 0, first.stdout + first.stderr
    bench.environment["TOY_CRASH"] = "1"
    second = bench.call(*bench.run_arguments(workers=1), "--reuse", "never")
    assert second.returncode == 1, second.stdout
    (record,) = records(bench.out).values()
    assert (record.status, record.reason) == (
        "failed",
        "lost its worker twice: worker process ended with exit code 9",
    )


@pytest.mark.parametrize("isolate", [False, True])
def test_isolated_cells_meet_nobody(bench, isolate: bool) -> None:
    content = profile("alone")
    content["molecules"]["seeds"] = 3
    bench.write_profile(content)
    done = bench.call(*bench.run_arguments(workers=1), *["--isolate"] * isolate)
    states = sorted(record.status for record in Store(bench.out).open().read_all()[0])
    assert states == (["ok"] * 3 if isolate else ["failed", "failed", "ok"]), done.stdout


def test_imports_are_not_the_time_of_the_first_cell(bench) -> None:
    """R14: a limit far below the time of the imports kills no first cell."""
    content = profile("", clean=False)
    content["molecules"]["timeout"] = 2.0
    bench.write_profile(content)
    # The plug-in's own import takes longer than its cell may.
    delayed = bench.folder / "plugin"
    _copy_with_delay(Path(bench.environment["PYTHONPATH"]), delayed)
    bench.environment["PYTHONPATH"] = str(delayed)
    done = bench.call(*bench.run_arguments(workers=1))
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records(bench.out).values()
    assert record.times["total"] < 2.0


def _copy_with_delay(plugin: Path, target: Path) -> None:
    """The plug-in, importing its method four seconds long in workers."""
    shutil.copytree(plugin, target, ignore=shutil.ignore_patterns("__pycache__"))
    file = target / "toybench" / "toy_leak.py"
    file.write_text(file.read_text() + "\n\ntime.sleep(4)\n")


def test_the_environment_of_the_test_is_found() -> None:
    """The search for left-over processes sees those that there are."""
    command = [sys.executable, "-c", "input()"]
    bench = type("Bench", (), {"folder": Path("/nowhere")})
    environment = {**os.environ, "BENCH_OF_THE_TEST": "/nowhere"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        found = processes_of(bench)
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.pid in [one.pid for one in found]
