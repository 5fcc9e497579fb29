"""Machines on one machine: network namespaces joined by a slow network, whose lines can be cut.

The rate is `tc`'s token bucket in each namespace. The delay is made here, by a switch between their tap devices, since
not every kernel has `netem`: each frame is passed on after the time that it takes, and dropped where a line is cut, as
in a real partition, without a word to anybody.

Run as a program, it is that switch: `network.py FOLDER DELAY NAME...`; a file `FOLDER/cut-NAME` cuts the line of NAME.
"""

import ctypes
import fcntl
import heapq
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

RATE = "10mbit"
DELAY_SECONDS = 0.020
DEVICE = "line0"
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x0002 | 0x1000
FRAME_BYTES = 65_536


def why_not() -> str | None:
    """Why there can be no network of namespaces here; None if there can."""
    for tool in ("ip", "tc", "mount"):
        if shutil.which(tool) is None:
            return f"the command {tool} is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    probe = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    bucket = ["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", RATE, "burst", "32k", "latency", "400ms"]
    limited = subprocess.run(["ip", "netns", "exec", probe, *bucket], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "delete", probe], check=False)
    return f"no rate limit by tc: {limited.stderr.strip()}" if limited.returncode else None


class Network:
    """Namespaces by name, each with the address `10.88.0.N`."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.prefix = f"sb{os.getpid()}-"
        self.addresses = {name: f"10.88.0.{number}" for number, name in enumerate(names, start=1)}

    def namespace(self, name: str) -> str:
        return self.prefix + name

    def inside(self, name: str, *command: str) -> list[str]:
        """The command, as it runs on that machine."""
        return ["ip", "netns", "exec", self.namespace(name), *command]

    def processes(self, name: str) -> list[int]:
        """What runs on that machine."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.namespace(name)], capture_output=True, text=True, check=True
        )
        return [int(number) for number in listed.stdout.split()]

    def cut(self, name: str) -> None:
        (self.folder / f"cut-{name}").touch()

    def mend(self, name: str) -> None:
        (self.folder / f"cut-{name}").unlink(missing_ok=True)


@contextmanager
def network(folder: Path, names: Sequence[str]) -> Iterator[Network]:
    """The network while it is needed; afterwards no namespace and no process of it is left."""
    made = Network(folder, names)
    spaces = [made.namespace(name) for name in names]
    switch = None
    try:
        for space in spaces:
            subprocess.run(["ip", "netns", "add", space], check=True)
        switch = subprocess.Popen([sys.executable, __file__, str(folder), str(DELAY_SECONDS), *spaces])
        for name, address in made.addresses.items():
            _set_up(made, name, address)
        yield made
    finally:
        for name in names:
            _end_processes(made, name)
        if switch is not None:
            switch.kill()
            switch.wait()
        for space in spaces:
            subprocess.run(["ip", "netns", "delete", space], check=False)


def _set_up(made: Network, name: str, address: str) -> None:
    deadline = time.monotonic() + 20
    while subprocess.run(made.inside(name, "ip", "link", "show", DEVICE), capture_output=True).returncode:
        assert time.monotonic() < deadline, "the switch made no device"
        time.sleep(0.1)
    bucket = f"tc qdisc add dev {DEVICE} root tbf rate {RATE} burst 32k latency 400ms"
    for line in (f"ip address add {address}/24 dev {DEVICE}", f"ip link set {DEVICE} up", "ip link set lo up", bucket):
        subprocess.run(made.inside(name, *line.split()), check=True)


def _end_processes(made: Network, name: str) -> None:
    for number in made.processes(name):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def switch(folder: Path, delay: float, spaces: Sequence[str]) -> None:
    """Pass frames between the namespaces, each after `delay` seconds, until the process is killed."""
    lines = {_tap(space): folder / f"cut-{space.partition('-')[2]}" for space in spaces}
    known: dict[bytes, int] = {}
    waiting: list[tuple[float, int, int, int, bytes]] = []
    count = 0
    while True:
        patience = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        for line in select.select(list(lines), [], [], patience)[0]:
            frame = os.read(line, FRAME_BYTES)
            known[frame[6:12]] = line
            target = known.get(frame[:6])
            for other in [target] if target is not None else lines:
                if other != line:
                    count += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, count, line, other, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, line, other, frame = heapq.heappop(waiting)
            if not lines[line].exists() and not lines[other].exists():
                _write(other, frame)


def _write(line: int, frame: bytes) -> None:
    try:
        os.write(line, frame)
    except OSError:  # the device is not up yet: the frame is lost, as on any line
        return


def _tap(space: str) -> int:
    """A tap device in the namespace, as a file of this process, which comes back from there."""
    with Path("/proc/self/ns/net").open("rb") as home, Path(f"/run/netns/{space}").open("rb") as place:
        _enter(place.fileno())
        line = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(line, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TAP_NO_PI))
        _enter(home.fileno())
    return line


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


if __name__ == "__main__":
    switch(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
