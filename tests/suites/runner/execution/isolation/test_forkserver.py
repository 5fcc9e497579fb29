"""Forked processes: news of their ends, groups that leave nothing behind, an environment that comes first."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait

import psutil
import pytest

from sparsebench.suites.runner.execution.isolation.forkserver import ForkServer
from tests.suites.runner.execution.isolation.test_process import wait_until_gone

PATIENCE = 120


def prepare(wanted: Callable[[], bool]) -> None:
    assert wanted()
    assert os.environ["SET_FIRST"] == "1"


def prepare_a_blow(wanted: Callable[[], bool]) -> None:
    """Hooks of `os.fork`, as logging and random have them: what is raised there is printed and forgotten."""
    os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))


def main(pipe: Connection, what: str) -> None:
    """Do as the test says."""
    if what == "exit":
        os._exit(7)
    if what == "raise":
        raise RuntimeError("on purpose")
    if what == "echo":
        pipe.send((os.getpid(), os.getpgid(0), os.environ["SET_FIRST"], pipe.recv()))
    if what == "family":
        pipe.send((os.getpid(), _family()))
        time.sleep(600)
    if what == "break":
        sys.stdout = sys.stderr = None  # type: ignore[assignment]
        os._exit = lambda code: None  # type: ignore[assignment]
        raise RuntimeError("on purpose")
    if what == "leave":
        pipe.send((os.getpid(), _family()))


def _family() -> list[int]:
    """A child, and an orphan with a session of its own."""
    child = subprocess.Popen(["sleep", "600"])
    script = (
        "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=-3, stderr=-3).pid)"
    )
    orphan = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return [child.pid, int(orphan.stdout)]


@pytest.fixture
def server() -> Iterator[ForkServer]:
    found = ForkServer({"SET_FIRST": "1"}, prepare, main)
    yield found
    found.close()


def receive(pipe: Connection):
    assert pipe.poll(PATIENCE)
    return pipe.recv()


def ends(server: ForkServer, count: int) -> dict[int, int]:
    """The exit codes of the next processes that end."""
    found: dict[int, int] = {}
    while len(found) < count:
        assert wait([server.control], PATIENCE)
        found |= {one.number: one.code for one in server.news()}
    return found


def test_each_process_leads_a_group_and_its_end_is_told(server: ForkServer) -> None:
    numbers = {what: server.fork(what) for what in ("exit", "raise", "echo")}
    numbers["echo"][1].send("hello")
    process, group, variable, said = receive(numbers["echo"][1])
    assert process == group
    assert (variable, said) == ("1", "hello")
    codes = ends(server, 3)
    assert codes == {numbers["exit"][0]: 7, numbers["raise"][0]: 1, numbers["echo"][0]: 0}


@pytest.mark.parametrize("what", ["family", "leave"])
def test_what_a_process_started_ends_with_it(server: ForkServer, what: str) -> None:
    number, pipe = server.fork(what)
    _, family = receive(pipe)
    if what == "family":
        server.end(number)
    assert ends(server, 1) == {number: -signal.SIGKILL if what == "family" else 0}
    for pid in family:
        wait_until_gone(pid)


def test_closing_leaves_nothing(server: ForkServer) -> None:
    process, family = receive(server.fork("family")[1])
    server.close()
    for pid in (process, *family):
        wait_until_gone(pid)


@pytest.mark.parametrize("above", [1, 2])
def test_a_server_or_a_guard_that_is_killed_takes_everything_along(server: ForkServer, above: int) -> None:
    """Nobody else helps: the run, which is this process, may have been killed in the same moment."""
    process, family = receive(server.fork("family")[1])
    parents = psutil.Process(process).parents()
    assert [one.name() for one in parents[:2]] == ["bench-server", "bench-guard"]
    parents[above - 1].kill()
    for pid in (process, *family):
        wait_until_gone(pid)
    wait_for_the_end(server)


def wait_for_the_end(server: ForkServer) -> None:
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(EOFError):
        while time.monotonic() < deadline:
            wait([server.control], 1)
            server.news()


def test_a_server_that_is_told_to_end_while_it_forks_ends(capfd: pytest.CaptureFixture[str]) -> None:
    server = ForkServer({"SET_FIRST": "1"}, prepare_a_blow, main)
    server.fork("family")
    wait_for_the_end(server)
    server.close()
    assert "Traceback" not in capfd.readouterr().err


def test_interrupts_from_its_start_on_leave_a_server_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C reaches the whole group of the run: it is the run's to answer, whatever the server does just then."""
    server = ForkServer({"SET_FIRST": "1"}, prepare, main)
    for _ in range(20):
        os.kill(server._process.pid or 0, signal.SIGINT)
        time.sleep(0.02)
    pipe = server.fork("echo")[1]
    pipe.send("hello")
    assert receive(pipe)[3] == "hello"
    server.close()
    assert "Traceback" not in capfd.readouterr().err


def test_what_a_process_breaks_keeps_it_out_of_the_server(server: ForkServer) -> None:
    """Without streams or `os._exit` it still ends, and the server goes on."""
    number, pipe = server.fork("break")
    assert ends(server, 1) == {number: 1}
    pipe = server.fork("echo")[1]
    pipe.send("hello")
    assert receive(pipe)[3] == "hello"
