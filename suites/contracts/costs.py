"""What a model costs: parameters, operations, bytes, time and memory, measured the same way in every suite."""

import contextlib
import resource
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import torch
from torch import nn

from sparsebench.models.counting import count_parameters, flops, stored_bytes, trained_bytes
from sparsebench.models.native.forms import by_rules
from sparsebench.reports.records.record import Costs

REPEATS = 3


@torch.no_grad()
def measure_costs(model: nn.Module, call: Callable[[nn.Module], object], units: int, unit: str) -> Costs:
    """Costs of a call of a model.

    Latency is the median CPU time of this process, so another cell on the machine disturbs it little; with more than
    one thread it counts the work of all of them. On an accelerator it is the wall time until the work is done: the CPU
    time there is that of launching it.

    Args:
        model: the model, in eval mode.
        call: runs it.
        units: what a call works on (tokens, images, molecules).
        unit: the name of one of them.

    Returns:
        Parameters, bytes, and FLOPs and milliseconds per unit.
    """
    model.eval()
    counts = count_parameters(model)
    return Costs(
        params_total=counts.total,
        params_trainable=counts.trainable,
        params_active=counts.active,
        params_nonzero=counts.nonzero,
        flops=flops(call, model) / units,
        bytes=stored_bytes(model),
        bytes_trained=trained_bytes(model),
        peak_rss=peak_rss(),
        latency_ms=1e3 * _latency(call, model) / units,
        unit=unit,
    )


def _latency(call: Callable[[nn.Module], object], model: nn.Module) -> float:
    """In the forms that are fastest here, as a user of the model has them; scores are computed by rules."""
    with by_rules(False):
        return call_seconds(call, model)


def call_seconds(call: Callable[[nn.Module], object], model: nn.Module) -> float:
    """Median seconds of a call of a model, after one warm-up: of the CPU, or of the accelerator where it lies."""
    first = next(model.parameters(), None)
    if first is None or first.device.type == "cpu":
        return cpu_seconds(lambda: call(model))
    return _median_seconds(lambda: call(model), clock(first.device))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Median CPU seconds of one run of `work`, after one warm-up."""
    return _median_seconds(work, process_time)


def _median_seconds(work: Callable[[], object], now: Callable[[], float]) -> float:
    work()
    samples = []
    for _ in range(REPEATS):
        start = now()
        work()
        samples.append(now() - start)
    return statistics.median(samples)


def clock(device: torch.device) -> Callable[[], float]:
    """Wall seconds; on an accelerator, of work that is done."""
    if device.type == "cpu":
        return perf_counter
    backend = torch.get_device_module(device)

    def seconds() -> float:
        backend.synchronize(device)
        return perf_counter()

    return seconds


def reset_peaks(device: torch.device) -> None:
    """Start new peaks of memory, so that one cell's are not those of the cells before it in the same process.

    Args:
        device: whose peak starts anew; that of the process's own memory does on Linux only.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_rss() -> int:
    """Highest resident memory since `reset_peaks` (elsewhere than on Linux: since the start), in bytes."""
    found = memory("VmHWM")
    if found is not None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory(entry: str) -> int | None:
    """Bytes of this process by the name in Linux's status file (`VmRSS` now, `VmHWM` the most so far), else None."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024
    return None


class Clock:
    """Wall seconds by phase: each `stop` closes a phase that began at the one before; phases of one name add up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def stop(self, phase: str) -> None:
        """Close the running phase under the name `phase`."""
        now = perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now
