"""A Ray cluster on the machines of a network, started as its documentation says, and the run of the bench on it."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from .network import Network

PORT = 6379
PLUGIN = Path(__file__).parent / "plugin"
RAY = Path(sys.executable).with_name("ray")
WORKERS = ("a", "b")
SCRATCH_MEGABYTES = 16
AGAIN = "while true; do {command}; sleep 1; done"
"""What a system's service manager does: a node whose Ray ended is started again."""


class Machines:
    """The head, on which the run is started, too, and two workers with two CPUs each."""

    def __init__(self, net: Network, folder: Path) -> None:
        self.net = net
        self.folder = folder
        self.log = folder / "completed.txt"
        # Ray's sockets lie below this folder, and the path of a socket must be short.
        self.ray_folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.address = f"{net.addresses['head']}:{PORT}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PLUGIN),
            "NAPBENCH_LOG": str(self.log),
            "SPARSEBENCH_OFFLINE": "1",
            "SPARSEBENCH_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            # Else Ray's workers wait for whatever runs on this machine besides.
            "RAY_worker_niceness": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        self.services: dict[str, subprocess.Popen] = {}

    def scratch(self, name: str) -> Path:
        return self.folder / f"scratch-{name}"

    def start_head(self) -> None:
        """`ray start --head`, without CPUs for cells."""
        command = (
            f"{RAY} start --head --port={PORT} --num-cpus=0 --include-dashboard=false --temp-dir={self.ray_folder}"
        )
        self._serve("head", command, {})

    def start_worker(self, name: str) -> None:
        """`ray start --address`."""
        command = f"{RAY} start --address={self.address} --num-cpus=2"
        more = {"PYTHONPATH": str(self.code(name)), "TMPDIR": str(self.scratch(name)), "NAPBENCH_NODE": name}
        self._serve(name, command, more)

    def code(self, name: str) -> Path:
        """Where the machine has its plug-ins: a link, so that they can become others."""
        return self.folder / f"code-{name}"

    def install(self, name: str, plugin: Path = PLUGIN) -> None:
        """Give the machine another plug-in, for all processes that start from now on."""
        link = self.folder / f"new-code-{name}"
        link.symlink_to(plugin)
        link.replace(self.code(name))

    def _serve(self, name: str, command: str, more: Mapping[str, str]) -> None:
        command += f" --node-ip-address={self.net.addresses[name]} --object-store-memory=80000000"
        command += " --disable-usage-stats --include-log-monitor=false --block"
        with (self.folder / f"ray-{name}.log").open("ab") as output:
            self.services[name] = subprocess.Popen(
                self.net.inside(name, "bash", "-c", AGAIN.format(command=command)),
                env={**self.environment, **more},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def end(self, name: str, spared: int | None = None) -> None:
        """Kill all of a machine at once, but for the session of the run."""
        service = self.services[name]
        service.kill()
        service.wait()
        for number in self.net.processes(name):
            try:
                if spared is None or os.getsid(number) != spared:
                    os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def agents(self, name: str) -> list[psutil.Process]:
        """The processes that run cells on a worker, but for those below them."""
        found = []
        for number in self.net.processes(name):
            try:
                process = psutil.Process(number)
                if "ray::Agent" in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def cell_processes(self) -> list[int]:
        """On the workers: the agents and the processes below them."""
        found = []
        for agent in [agent for name in WORKERS for agent in self.agents(name)]:
            try:
                found += [agent.pid, *(child.pid for child in agent.children(recursive=True))]
            except psutil.NoSuchProcess:
                continue
        return found

    def fill(self, name: str) -> None:
        """Leave no byte on the disk where the cells of the machine write."""
        with (self.scratch(name) / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(b"0" * 4096):
                    continue
            except OSError:
                return

    def empty(self, name: str) -> None:
        (self.scratch(name) / "filler").unlink(missing_ok=True)

    def other_code(self) -> Path:
        """A copy of the plug-in whose task adds other numbers."""
        folder = self.folder / "other"
        for file in PLUGIN.rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                copy = folder / file.relative_to(PLUGIN)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(file.read_text().replace("torch.randn(16, 4", "torch.rand(16, 4"))
        return folder


@contextmanager
def machines(net: Network, folder: Path) -> Iterator[Machines]:
    """The cluster up; the disks of the workers are small, and gone afterwards."""
    made = Machines(net, folder)
    mounted = []
    try:
        for name in WORKERS:
            made.scratch(name).mkdir()
            size = f"size={SCRATCH_MEGABYTES}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(made.scratch(name))], check=True)
            mounted.append(name)
        made.start_head()
        for name in WORKERS:
            made.install(name)
            made.start_worker(name)
        yield made
    finally:
        for name in made.services:
            made.end(name)
        for name in mounted:
            subprocess.run(["umount", "--lazy", str(made.scratch(name))], check=False)
        shutil.rmtree(made.ray_folder, ignore_errors=True)
