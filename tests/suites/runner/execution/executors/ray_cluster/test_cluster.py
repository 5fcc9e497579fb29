"""The command line on a real cluster of one node: records as those of a run without one, and one line for mistakes."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from sparsebench.reports.records.store import Store


def on(address: str) -> list[str]:
    return ["--executor", "ray", "--address", address]


def write_toys(bench: Any) -> None:
    bench.write_toys({"name": "toy_fine", "config": {"nap": 0.5}}, "toy_raise", seeds=3, timeout=60)


def records(folder: Path) -> dict[str, tuple]:
    found, problems = Store(folder).open().read_all()
    assert problems == []
    return {record.id: (record.status, record.metrics, record.reason, record.code) for record in found}


def test_records_are_those_of_a_local_run(bench, make_bench, tmp_path: Path, ray_address: str) -> None:
    write_toys(bench)
    done = bench.call(*bench.run_arguments(), *on(ray_address))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    local = make_bench(tmp_path / "local")
    local.folder.mkdir()
    write_toys(local)
    local.call(*local.run_arguments())
    assert records(bench.out) == records(local.out)
    assert len(records(bench.out)) == 6
    id_ = next(iter(records(bench.out)))
    assert Store(bench.out).read_examples(id_) == Store(local.out).read_examples(id_)


def test_a_node_with_other_code_is_refused(bench, tmp_path: Path, ray_address: str) -> None:
    write_toys(bench)
    bench.environment["SPARSEBENCH_NATIVE"] = "0"
    code = tmp_path / "other" / "toybench"
    code.mkdir(parents=True)
    original = Path(bench.environment["PYTHONPATH"]) / "toybench"
    for file in original.glob("*.py"):
        (code / file.name).write_text(file.read_text().replace("torch.randn(16, 4", "torch.rand(16, 4"))
    metadata = next(original.parent.glob("*.dist-info"))
    (code.parent / metadata.name).symlink_to(metadata)
    bench.environment["PYTHONPATH"] = str(code.parent)
    done = bench.call(*bench.run_arguments(), *on(ray_address))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "other code or data than here: toybench.toy_sum" in done.stderr
    assert done.stderr.count("\n") == 1
    assert Store(bench.out).ids() == []


def test_a_killed_driver_leaves_no_worker_and_the_same_command_goes_on(bench, ray_address: str) -> None:
    write_toys(bench)
    run = bench.start(*bench.run_arguments(), *on(ray_address))
    wait_for(lambda: bool(list(bench.out.glob("records/*.json"))))
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    first = records(bench.out)
    again = bench.call(*bench.run_arguments(), *on(ray_address))
    assert again.returncode == 1, again.stdout + again.stderr
    assert len(records(bench.out)) == 6
    assert {id_: records(bench.out)[id_] for id_ in first} == first
    wait_for(lambda: not agents())


def test_no_cluster_at_the_address(bench) -> None:
    write_toys(bench)
    done = bench.call(*bench.run_arguments(), *on("127.0.0.1:9"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Ray at 127.0.0.1:9" in done.stderr


def agents() -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if "ray::Agent" in " ".join(command(process))]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_for(true) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
