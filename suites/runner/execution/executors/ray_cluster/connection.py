"""The run's end of the gateway: starts its process, talks to it, and notices when it hangs or is gone."""

import contextlib
import os
import re
import socket
import tempfile
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

from ....errors import ExecutorError, UsageError
from ...isolation.process import start_shielded
from ..interface import Options
from .gateway import serve
from .messages import Close, Order, Report

HUNG_SECONDS = 90.0
"""A gateway that says nothing for so long waits for a head that does not answer."""
CLOSE_SECONDS = 20.0
REACH_SECONDS = 10.0
PREFIX = re.compile(r"^\[[^]]*\] (\S+:\d+: )?")
NO_TOKEN = ("InvalidAuthToken", "no authentication token was found")
"""What Ray writes where the head wants another token, and where there is none here."""
SPAWN = get_context("spawn")


class Gateway:
    """The process that talks to Ray.

    Args:
        folder: the result folder, whose locks it holds.
        gpus: whether cells may need one.
    """

    def __init__(self, folder: Path, options: Options, gpus: bool) -> None:
        self._where = options.address or "a cluster on this machine"
        if options.address is not None:
            reach(options.address)
        number, log = tempfile.mkstemp(prefix="sparsebench-ray-", suffix=".log")
        os.close(number)
        self._log = Path(log)
        self._pipe, theirs = SPAWN.Pipe()
        arguments = (theirs, folder, os.getpid(), options, gpus, self._log)
        self._process = SPAWN.Process(target=serve, args=arguments)
        start_shielded(self._process)
        theirs.close()
        self._heard = monotonic()

    def send(self, order: Order) -> None:
        """Raises `ExecutorError` when the process is gone."""
        try:
            self._pipe.send(order)
        except OSError:
            raise self._gone() from None

    def receive(self, seconds: float) -> list[Report]:
        """What it reported, waiting for the first for so many seconds.

        Raises `ExecutorError` if it hangs or is gone.
        """
        found: list[Report] = []
        try:
            while self._pipe.poll(0 if found else seconds):
                found.append(self._pipe.recv())
        except (EOFError, OSError):
            if not found:
                raise self._gone() from None
        if found:
            self._heard = monotonic()
        elif monotonic() - self._heard > HUNG_SECONDS:
            raise ExecutorError(
                f"Ray at {self._where} has not answered for {HUNG_SECONDS:g} s: is its head up? `ray status` tells; "
                "the same command goes on from here"
            )
        return found

    def close(self) -> None:
        """End the process, and with it all that it started. Calling it again does nothing."""
        with contextlib.suppress(OSError):
            self._pipe.send(Close())
        self._process.join(CLOSE_SECONDS)
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._log.unlink(missing_ok=True)

    def _gone(self) -> ExecutorError:
        self._process.join(CLOSE_SECONDS)
        if any(sign in self._log.read_text(encoding="utf-8", errors="replace") for sign in NO_TOKEN):
            return ExecutorError(no_token(self._where))
        return ExecutorError(
            f"the connection to Ray at {self._where} ended ({self._last_words()}): start the cluster, "
            "then give the same command again; it goes on from here"
        )

    def _last_words(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return last_words(text) or f"exit code {self._process.exitcode}"


def no_token(where: str) -> str:
    """What to do where a run has not the token of its cluster."""
    return (
        f"Ray at {where} and this run have no token in common: start the head with RAY_AUTH_MODE=token, and have its "
        "token here in ~/.ray/auth_token or RAY_AUTH_TOKEN (`ray get-auth-token --generate` makes one); "
        "RAY_AUTH_MODE=disabled here is for a cluster without one, where whoever reaches it can run code as you"
    )


def last_words(log: str) -> str:
    """The first sentence of the last line that Ray or Python wrote, without Ray's time, process and source line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return ""
    return PREFIX.sub("", lines[-1]).partition(". ")[0].rstrip(".")


def reach(address: str) -> None:
    """Raises `ExecutorError` where nobody listens at HOST:PORT, `UsageError` where it is none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--address {address}: it must be HOST:PORT, as `ray start --head` prints it")
    try:
        socket.create_connection((host, int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ExecutorError(
            f"no Ray at {address} ({error}): `ray start --head` there starts it, then give the same command again"
        ) from None
