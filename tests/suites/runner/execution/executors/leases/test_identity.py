"""Which process it is, and when it is certain that it runs no more."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsebench.suites.runner.execution.executors.leases import identity
from sparsebench.suites.runner.execution.executors.leases.identity import Process

ASK = """
import sys
from pathlib import Path
from sparsebench.suites.runner.execution.executors.leases.identity import Process

Process.this().write(Path(sys.argv[1]))
"""


def other(path: Path) -> tuple[subprocess.Popen, Process]:
    """A process that has written who it is, and has ended without anybody taking notice yet."""
    child = subprocess.Popen([sys.executable, "-c", ASK, str(path)])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child, Process.read(path)


@pytest.fixture
def renamed() -> Iterator[Path]:
    """Where this process's name for people stands; it has its old one again afterwards."""
    path = Path("/proc/self/comm")
    name = path.read_text()
    yield path
    path.write_text(name)


def test_who_asks_is_this_process_and_not_dead(tmp_path: Path) -> None:
    this = Process.this()
    assert this.pid == os.getpid() and this.born > 0 and this.kernel
    assert this.place.endswith(f", process {os.getpid()}")
    assert not this.is_known_dead()
    this.write(tmp_path / "process.json")
    assert Process.read(tmp_path / "process.json") == this


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Process.read(tmp_path / "process.json")


def test_an_ended_process_is_dead_even_while_its_remains_have_the_number(tmp_path: Path) -> None:
    child, process = other(tmp_path / "process.json")
    assert process.pid == child.pid
    assert Path(f"/proc/{child.pid}").exists() and process.is_known_dead()
    child.wait()
    assert process.is_known_dead()


def test_a_number_that_another_process_has_now_is_another_process() -> None:
    this = Process.this()
    assert dataclasses.replace(this, born=this.born - 1).is_known_dead()


@pytest.mark.parametrize("kernel", ["another boot pid:[1]", ""])
def test_nothing_is_known_of_a_process_of_another_kernel_or_of_one_that_does_not_tell(kernel: str) -> None:
    this = Process.this()
    assert not dataclasses.replace(this, kernel=kernel, born=this.born - 1).is_known_dead()


def test_nothing_is_known_where_the_system_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "BOOT", tmp_path / "boot_id")
    this = Process.this()
    assert this.kernel == ""
    assert not dataclasses.replace(this, born=this.born - 1).is_known_dead()


def test_the_space_of_process_numbers_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container on the same machine has numbers of its own."""
    this = Process.this()
    (tmp_path / "pid").symlink_to("pid:[1]")
    monkeypatch.setattr(identity, "PID_SPACE", tmp_path / "pid")
    assert Process.this().kernel != this.kernel
    assert not dataclasses.replace(this, born=this.born - 1).is_known_dead()


def test_a_name_with_brackets_is_no_matter(renamed: Path) -> None:
    before = Process.this()
    renamed.write_text("a) Z 1 (b")
    assert Process.this() == before and not before.is_known_dead()
