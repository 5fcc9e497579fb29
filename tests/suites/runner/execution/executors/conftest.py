"""A small Ray cluster for the tests that need one."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

PLUGIN = Path(__file__).parents[2] / "plugin"
SMALLEST_OBJECT_STORE = "80000000"


@pytest.fixture(scope="session")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a cluster of one node with two CPUs, which knows the toys; started by Ray's own command."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'sparsebench[ray]'")
    port, client_port = free_port(), free_port()
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Ray's sockets lie below this folder, and the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    log = tmp_path_factory.mktemp("ray") / "start.log"
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"),
        *("--port", str(port), "--ray-client-server-port", str(client_port)),
        *("--num-cpus", "2", "--num-gpus", "0", "--object-store-memory", SMALLEST_OBJECT_STORE),
        *("--include-dashboard", "false", "--include-log-monitor", "false", "--temp-dir", str(folder)),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(PLUGIN),
        "SPARSEBENCH_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        # Else Ray's workers wait for whatever runs on this machine besides.
        "RAY_worker_niceness": "0",
    }
    with log.open("w") as output:
        head = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_up(head, log)
        yield f"127.0.0.1:{port}"
    finally:
        end(head)
        monkeypatch.undo()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(head: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while "Ray runtime started" not in log.read_text():
        assert head.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def end(head: subprocess.Popen) -> None:
    """All that the head started, too."""
    processes: list[psutil.Process] = []
    if head.poll() is None:
        top = psutil.Process(head.pid)
        processes = [top, *top.children(recursive=True)]
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    head.wait(timeout=30)
