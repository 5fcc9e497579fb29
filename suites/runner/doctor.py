"""What `sparsebench doctor` says: the environment, and what would keep a run from working."""

import json
import os
import shutil

from sparsebench.data.cache import cache_root

from .execution.environment import environment

NEEDED_BYTES = 4 << 30


def diagnosis() -> str:
    """Environment as JSON, then one line per finding."""
    return "\n".join([json.dumps(environment(), indent=1), *_findings()])


def _findings() -> list[str]:
    root = cache_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    found = [f"cache: {root}, {free / 2**30:.1f} GiB free" + (" (4 GiB are wanted)" if free < NEEDED_BYTES else "")]
    if not os.access(place, os.W_OK):
        found.append(f"problem: {place} cannot be written: set SPARSEBENCH_CACHE to a folder of yours")
    if os.environ.get("SPARSEBENCH_OFFLINE", "") not in ("", "0"):
        found.append("SPARSEBENCH_OFFLINE is set: nothing will be downloaded")
    if not shutil.which("apt-get"):
        found.append("no apt-get here: sources from Debian packages (fashion-mnist) cannot be fetched")
    found.append(_experts())
    found.append(f"matrix speed: bfloat16 is {_bf16_ratio():.1f} times as fast as float32 on one thread")
    return found


def _experts() -> str:
    """Whether the C++ experts are in use; builds them if nobody has yet."""
    from sparsebench.models.moe.experts.native import status

    return status()


def _bf16_ratio(size: int = 512) -> float:
    import torch

    from ..contracts.costs import cpu_seconds

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    half = matrix.bfloat16()
    ratio = cpu_seconds(lambda: matrix @ matrix) / cpu_seconds(lambda: half @ half)
    torch.set_num_threads(threads)
    return ratio
