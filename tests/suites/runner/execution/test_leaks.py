"""What a cell of a plug-in leaves behind reaches no other cell, and nothing of it outlives the run."""

import ast
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from sparsebench.reports.records.store import Store
from tests.suites.runner.conftest import PLUGIN


def profile(*whats: str, clean: bool = False, task: str = "toy_sum") -> dict:
    """A row for each; `clean` puts one that does nothing behind each."""
    rows: list = []
    for number, what in enumerate(whats):
        rows.append({"name": "toy_leak", "config": {"what": what}, "label": what or "nothing"})
        if clean:
            rows.append({"name": "toy_leak", "config": {"number": number + 1}, "label": f"clean {number}"})
    return {"molecules": {"seeds": 1, "backbones": ["toy_line"], "methods": rows, "tasks": [task]}}


def leaks() -> list[str]:
    """The names of the functions of the plug-in that leave something behind, in their order; read, not imported."""
    tree = ast.parse((PLUGIN / "toybench" / "leaks.py").read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


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
    """Whatever a cell leaves behind, the next one finds and scores what the first one did."""
    names = leaks()
    assert len(names) > 31
    bench.environment["BENCH_OF_THE_TEST"] = str(bench.folder)
    bench.write_profile(profile("", *names, clean=True, task="toy_state"))
    arguments = bench.run_arguments(workers=1)
    arguments[arguments.index("--out") + 1] = "here"  # relative, as the default is
    done = subprocess.run(
        bench.command(*arguments), env=bench.environment, cwd=bench.folder, capture_output=True, text=True, timeout=400
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    found = records(bench.folder / "here")
    expected = found["nothing"]
    assert (expected.status, expected.warnings) == ("ok", [])
    for number, what in enumerate(["nothing", *names]):
        clean = found[f"clean {number}"]
        assert (clean.status, clean.details, clean.metrics) == ("ok", expected.details, expected.metrics), what
    modes = {file.stat().st_mode for file in (bench.folder / "here" / "records").iterdir()}
    assert len(modes) == 1, "a record has the umask of its cell"
    assert found["file_size_limit"].status == "ok"
    assert processes_of(bench) == []


def test_sharing_a_process_is_proved(bench) -> None:
    """What a shared process cannot notice, the repetition does: the cell fails, and the rest run alone."""
    content = profile("", "gelu", "", clean=True, task="toy_state")
    rows = content["molecules"]["methods"]
    content["molecules"]["methods"] = [rows[number] for number in (0, 2, 3, 5)]  # the first cell of a kind is alone
    bench.write_profile(content)
    done = bench.call(*bench.run_arguments(workers=1), "--share-workers")
    assert done.returncode == 1, done.stdout + done.stderr
    found = records(bench.out)
    assert found["nothing"].status == "ok"
    (failed,) = [record for record in found.values() if record.status == "failed"]
    assert failed.cell.label == "clean 1"
    assert "in a process that it shared" in failed.reason and "run again without --share-workers" in failed.reason
    assert found["clean 2"].metrics == found["nothing"].metrics


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
    file.write_text(file.read_text() + "\n\nimport time\n\ntime.sleep(4)\n")


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
