"""Processes forked from one that has done the imports, each the head of a process group that ends with it.

The server is a process without threads of its own. It prepares itself once (imports, caches), then forks a process
whenever it is asked to, in some milliseconds. It has a session of its own, so that what kills the run's group leaves
the server to clean up: when the run is gone, it kills all groups and ends. Its parent is a guard, which does nothing
but wait: should the server be killed in the same moment as the run, the guard kills what is left. multiprocessing's
own fork server leaves children of children behind, is one for the whole program, and keeps the environment of its
first use.
"""

import atexit
import contextlib
import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context, reduction
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

from .process import (
    adopt_orphans,
    ask_to_end_with,
    children,
    end_children,
    end_with,
    ignore_interrupts,
    kill_group,
    set_name,
    start_shielded,
)

SPAWN = get_context("spawn")
STOP_SECONDS = 10
"""How long the server may take to end all groups before it is killed itself."""

Prepare = Callable[[Callable[[], bool]], None]
"""Called once in the server; it may ask, between two steps, whether it is still wanted."""
Main = Callable[[Connection, Any], None]
"""The life of a forked process: its end of a pipe, and what was given to `fork`."""


@dataclass(frozen=True)
class Exited:
    """A forked process has ended, and all that was left of its group: its number and exit code (minus a signal)."""

    number: int
    code: int


class ForkServer:
    """The run's side of a server.

    Args:
        environment: variables that the server sets before it imports anything.
        prepare: what it does before it forks.
        main: what forked processes do.
    """

    def __init__(self, environment: Mapping[str, str], prepare: Prepare, main: Main) -> None:
        self._control, theirs = SPAWN.Pipe()
        self._numbers = itertools.count()
        # Pickled here, and read there when the environment is set: reading it imports modules, and torch with them.
        work = pickle.dumps((prepare, main))
        self._process = SPAWN.Process(target=_serve, args=(theirs, dict(environment), work), daemon=True)
        start_shielded(self._process)
        theirs.close()

    @property
    def control(self) -> Connection:
        """Readable when there is news."""
        return self._control

    def fork(self, argument: Any) -> tuple[int, Connection]:
        """Ask for a process; returns its number and the pipe to it. Raises `OSError` if the server is gone."""
        number = next(self._numbers)
        ours, theirs = SPAWN.Pipe()
        with theirs:
            self._control.send(_Fork(number, argument))
            reduction.send_handle(self._control, theirs.fileno(), self._process.pid)
        return number, ours

    def end(self, number: int) -> None:
        """Ask to kill a process and its group; `news` says when it is done. Nothing if it is gone already."""
        with contextlib.suppress(OSError):  # the server is gone, and `news` says so
            self._control.send(_End(number))

    def news(self) -> list[Exited]:
        """The processes that have ended since the last call. Raises `EOFError` if the server is gone."""
        found = []
        try:
            while self._control.poll():
                found.append(self._control.recv())
        except ConnectionResetError:
            raise EOFError from None
        return found

    def close(self) -> None:
        """End all processes and the server."""
        self._control.close()  # which is what tells it
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.terminate()  # the guard, which kills the server and what it leaves
            self._process.join()


@dataclass(frozen=True)
class _Fork:
    number: int
    argument: Any


@dataclass(frozen=True)
class _End:
    number: int


def _serve(control: Connection, environment: Mapping[str, str], work: bytes) -> None:
    ignore_interrupts()
    os.setsid()
    os.environ.update(environment)
    adopt_orphans()
    guard = os.getpid()
    server = os.fork()
    if server:
        control.close()
        _guard(server)
        return
    set_name("bench-server")
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing is forked yet
    ask_to_end_with(guard)
    # What is forked may start processes of its own, which multiprocessing forbids to daemons.
    multiprocessing.current_process().daemon = False
    prepare, main = pickle.loads(work)
    prepare(lambda: not _is_closed(control))
    _leave_alone()
    serving = _Server(control, main)
    try:
        serving.run()
    finally:
        serving.end_all()


def _guard(server: int) -> None:
    """Wait for the server to end, and kill what it left."""
    set_name("bench-guard")
    signal.signal(signal.SIGTERM, lambda *_: os.kill(server, signal.SIGKILL))
    os.waitpid(server, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_children()


def _leave_alone() -> None:
    """What there is before a fork is no business of what is forked, neither to collect nor to give back at its end.

    The collector would write to every page that both share, and torch alone leaves a hundred finalizers, which take
    longer than a small cell.
    """
    gc.collect()
    gc.freeze()
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False


def _is_closed(control: Connection) -> bool:
    """Whether the other side is gone; it may have sent requests before."""
    import select

    poll = select.poll()
    poll.register(control.fileno(), 0)  # hang-ups are reported unasked
    return bool(poll.poll(0))


@dataclass
class _Server:
    control: Connection
    main: Main
    numbers: dict[int, int] = field(default_factory=dict)
    """Number of the cell of each process that was forked and not waited for yet."""
    wanted: bool = True

    def __post_init__(self) -> None:
        self.wakeup, self.signals = os.pipe()
        os.set_blocking(self.signals, False)
        os.set_blocking(self.wakeup, False)
        signal.set_wakeup_fd(self.signals, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is written to the pipe
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_: object) -> None:
        """End soon, and in order. To raise here would be lost where a library's hook of `os.fork` runs just then."""
        self.wanted = False

    def run(self) -> None:
        """Until the run is gone, or somebody asks to end."""
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while self.wanted:
                ready = wait([self.control, self.wakeup])
                if self.wakeup in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self.wakeup, 4096)
                    self.reap()
                if self.control in ready:
                    self.answer(self.control.recv())

    def answer(self, request: _Fork | _End) -> None:
        if isinstance(request, _Fork):
            handle = reduction.recv_handle(self.control)
            self.fork(request, handle)
            os.close(handle)
            return
        for pid, number in self.numbers.items():
            if number == request.number:
                kill_group(pid)

    def fork(self, request: _Fork, handle: int) -> None:
        server = os.getpid()
        sys.stdout.flush()  # what is unwritten would be written by both
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self.become(request, handle, server)
        with contextlib.suppress(OSError):  # the process does it, too: whoever comes first
            os.setpgid(pid, pid)
        self.numbers[pid] = request.number

    def become(self, request: _Fork, handle: int, server: int) -> NoReturn:
        """What the forked process does, to its end."""
        code = 1
        end = os._exit  # whatever becomes of that name
        try:
            os.setpgid(0, 0)
            end_with(server)
            adopt_orphans()
            set_name("bench-worker")
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            self.control.close()
            os.close(self.wakeup)
            os.close(self.signals)
            self.main(Connection(handle), request.argument)
            # Libraries give back what outlives a process: a semaphore of tqdm, a temporary folder.
            atexit._run_exitfuncs()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:  # nothing may return into the server's loop
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:  # they may be closed or gone
                end(code)

    def reap(self) -> None:
        """Take note of the ended, and end what they left."""
        for number, code in self.ended():
            self.control.send(Exited(number, code))

    def ended(self) -> list[tuple[int, int]]:
        """Numbers and exit codes of forked processes that have ended; what is left of their groups is killed."""
        found = []
        with contextlib.suppress(ChildProcessError):  # there are no children
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid in self.numbers:
                    # As long as a group has members its number is not given to another process.
                    kill_group(pid)
                    found.append((self.numbers.pop(pid), os.waitstatus_to_exitcode(status)))
        self.end_strangers()
        return found

    def end_strangers(self) -> None:
        """Kill what left its group: forked processes adopt such orphans while they live, the server afterwards."""
        for pid in children():
            if pid not in self.numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def end_all(self) -> None:
        """Kill everything, and wait until it is gone."""
        for pid in self.numbers:
            kill_group(pid)
        end_children()
