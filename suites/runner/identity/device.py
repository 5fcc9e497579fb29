"""The kind of device that cells run on, found without importing torch."""

import ast
import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Literal

from sparsebench.reports.records.record import Record

DRIVER = "libcuda.so.1"


@functools.cache
def device_kind() -> Literal["cpu", "cuda"]:
    """cuda if torch was built for it and there is a device, else cpu; the same as `torch.cuda.is_available()`."""
    builds = _builds()
    if builds.get("hip"):
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if builds.get("cuda") and device_count() else "cpu"


def _builds() -> dict[str, str | None]:
    """What torch was built for: the literals of its file `version.py`."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return {}
    tree = ast.parse(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            found[ast.unparse(target)] = node.value.value
    return found


def device_count() -> int:
    """Number of CUDA devices that the driver shows (it heeds CUDA_VISIBLE_DEVICES); 0 without a driver."""
    if _builds().get("hip"):
        import torch

        return torch.cuda.device_count()
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def recorded_device(record: Record) -> str:
    """The kind of device that the record was made on; earlier records say only what the machine had."""
    device = record.environment.get("device")
    if isinstance(device, str):
        return device
    return "cpu" if record.environment.get("accelerator") is None else "cuda"
