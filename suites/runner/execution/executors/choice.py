"""Which executor runs the cells, by its name on the command line. Only the chosen one is imported."""

import importlib.util
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import UsageError, near
from ...interrupts import end_in_order
from ..locks import shared_run, sole_run
from .interface import Executor, Options
from .leases.membership import Membership, joined

EXECUTORS = ("local", "leases", "ray")
SHARING = ("leases",)
"""Those under which several processes write into one result folder."""
ELSEWHERE = ("ray",)
"""Those whose cells may run on other machines, which have caches of their own."""
WITH_ADDRESS = ("ray",)
"""Those that can be told where to find what runs already."""


def check_choice(options: Options) -> None:
    """Raises `UsageError` for an unknown executor and for an address that it has no use for."""
    name = options.executor
    if name not in EXECUTORS:
        raise UsageError(f"unknown executor {name!r}{near(name, EXECUTORS)}")
    if options.address is not None and name not in WITH_ADDRESS:
        raise UsageError(f"--address {options.address}: --executor {name} has no use for it; leave it out")
    if name == "ray":
        if ":" in options.device:
            raise UsageError(f"--device {options.device}: Ray chooses which; say --device cuda")
        check_ray()


@contextmanager
def hold(
    folder: Path, options: Options, plan: Callable[[], Mapping[str, Any]], say: Callable[[str], None] = print
) -> Iterator[Membership]:
    """Hold the result folder: alone, or with other processes where the executor shares it.

    Args:
        folder: the result folder.
        options: which executor, and how long a process of others may give no sign of life.
        plan: what this process is going to run; who shares a folder has equal plans. Called only where it is shared.
        say: told whom the run waits for, if it has to wait.

    Raises:
        UsageError: another run has the folder for itself, or others share it who run another plan.
    """
    end_in_order()
    if options.executor not in SHARING:
        with sole_run(folder, say), joined(folder, None, options.lease) as membership:
            yield membership
        return
    described = plan()
    with _ends_in_order(), shared_run(folder, say), joined(folder, described, options.lease) as membership:
        yield membership


@contextmanager
def _ends_in_order() -> Iterator[None]:
    """SIGTERM, which clusters send before they kill, ends this process as Ctrl-C does: it gives its leases back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_executor(folder: Path, options: Options, membership: Membership) -> Executor:
    """The executor that the options name, for cells whose records go into `folder`, which the membership holds."""
    if options.executor == "leases":
        from .leases.executor import LeaseExecutor

        return LeaseExecutor(folder, options, membership)
    if options.executor == "ray":
        from .ray_cluster.executor import RayExecutor

        return RayExecutor(folder, options)
    from .local.executor import LocalExecutor

    return LocalExecutor(folder, options)


def check_ray() -> None:
    """Raises `UsageError` where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--executor ray needs Ray: pip install 'sparsebench[ray]'")
