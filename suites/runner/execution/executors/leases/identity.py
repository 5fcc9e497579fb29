"""Who a process is, for other processes on this machine and on others."""

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

BOOT = Path("/proc/sys/kernel/random/boot_id")
PID_SPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Process:
    """A process.

    `kernel` names the running kernel and the space of process numbers in it: only within one can a process be looked
    up by its number. It is empty where the system does not tell. `born` is when it started, in ticks of that kernel.
    """

    host: str
    pid: int
    kernel: str
    born: int

    @classmethod
    def this(cls) -> Self:
        """The process that asks."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _kernel(), _born(pid) or 0)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote. Raises `OSError`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Into a new file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.host}, process {self.pid}"

    def is_known_dead(self) -> bool:
        """Whether it certainly runs no more; False also where this cannot be told from here."""
        if not self.kernel or self.kernel != _kernel():
            return False
        return _born(self.pid) != self.born


def _kernel() -> str:
    if not BOOT.exists():
        return ""
    return f"{BOOT.read_text(encoding='ascii').strip()} {PID_SPACE.readlink()}"


def _born(pid: int) -> int | None:
    """When a process started; None if there is none of that number, or only its remains."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = line.rpartition(")")[2].split()  # a name in brackets stands before, and may hold anything
    return None if state in "ZX" else int(fields[18])
