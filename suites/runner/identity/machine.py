"""The machine as this process may use it: processor, cores and memory, within the limits of its control group."""

import functools
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
PROCESSORS = Path("/proc/cpuinfo")
VENDORS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}
WIDTHS = ("avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "asimd", "sve", "sve2")
"""Each includes, on the processors that there are, those before it in its family: the last one is named."""
MATRICES = ("amx_int8", "amx_bf16", "amx_fp16", "i8mm", "bf16", "sme")
"""Units that make products many times as fast: all are named."""
PRODUCTS_OF_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


def cores(groups: Path = CONTROL_GROUPS, own: Path = OWN_GROUPS) -> int:
    """Processor cores that this process may keep busy: its affinity, and the quota of its control groups."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    for folder in _groups(groups, own):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            count = min(count, -(-int(quota) // int(period)))
    return max(1, count)


def memory_bytes(groups: Path = CONTROL_GROUPS, own: Path = OWN_GROUPS) -> int:
    """Memory that this process may use: that of the machine, or the bound of its control groups if that is less."""
    import psutil

    bound = psutil.virtual_memory().total
    for folder in _groups(groups, own):
        for name in ("memory.max", "memory/memory.limit_in_bytes"):
            text = _text(folder / name)
            if text.isdigit():
                bound = min(bound, int(text))
    return bound


def _groups(groups: Path, own: Path) -> Iterator[Path]:
    """The control group of this process and those above it, each of which may set bounds."""
    lines = [line.split(":", 2) for line in _text(own).splitlines()]
    path = next((parts[2] for parts in lines if len(parts) == 3 and parts[0] == "0"), "/")
    folder = groups / path.strip("/")
    while folder != groups and groups in folder.parents:
        yield folder
        folder = folder.parent
    yield groups


def processor(file: Path = PROCESSORS) -> str:
    """Its name as it gives it itself."""
    return _facts(file).get("model name") or platform.processor() or platform.machine()


def processor_type(file: Path = PROCESSORS) -> str:
    """What latencies depend on beside the clock: vendor, family, vector features ("AMD family 25, avx512_bf16").

    Figures are comparable within one type; the names that processors give themselves tell less ("AMD EPYC").
    """
    facts = _facts(file)
    vendor = facts.get("vendor_id") or facts.get("CPU implementer")
    family = facts.get("cpu family") or facts.get("CPU part")
    if not vendor or not family:
        return platform.processor() or platform.machine()
    flags = _flags(facts)
    widest = [name for name in WIDTHS if name in flags][-1:]
    features = widest + [name for name in MATRICES if name in flags]
    kind = f"{VENDORS.get(vendor, vendor)} family {family}"
    if "CPU part" in facts:
        kind = f"ARM {vendor} part {family}"
    return ", ".join([kind, *features])


def fast_dtype(device: str, file: Path = PROCESSORS) -> Literal["float32", "bfloat16"]:
    """bfloat16 where the device has an instruction for its products, else float32.

    A processor without one takes a product of bfloat16 apart: it was 60 times as slow as that of float32.
    """
    if device != "cpu":
        return "bfloat16"
    return "bfloat16" if PRODUCTS_OF_BFLOAT16.intersection(_flags(_facts(file))) else "float32"


@functools.cache
def _facts(file: Path) -> Mapping[str, str]:
    """What the system says of the first processor; read once, since a plan asks for each task of each row."""
    first = _text(file).partition("\n\n")[0]
    pairs = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _flags(facts: Mapping[str, str]) -> list[str]:
    return (facts.get("flags") or facts.get("Features") or "").split()


def _text(path: Path) -> str:
    """Empty where there is no such file, as on systems other than Linux."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
