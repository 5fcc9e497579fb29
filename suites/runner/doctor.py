"""What `sparsebench doctor` says: the environment, and what would keep a run from working."""

import os
import shutil

from sparsebench.data.cache import cache_root
from sparsebench.data.offline import offline

from .discovery.installed import problems
from .discovery.registry import plugin_problems
from .documents import DoctorDocument, FindingDocument
from .execution.environment import environment

NEEDED_BYTES = 4 << 30


def diagnosis() -> DoctorDocument:
    """The environment, and one finding for each thing that matters to a run."""
    from sparsebench.models.native.forms import by_rules, is_by_rules

    try:
        is_by_rules()
    except ValueError as error:
        with by_rules():  # what is said beside the problem needs some choice
            return _diagnosis([_problem(str(error))])
    return _diagnosis([_note(_forms())])


def _diagnosis(about_forms: list[FindingDocument]) -> DoctorDocument:
    return {
        "schema": "sparsebench/doctor/1",
        "environment": environment(),
        "findings": [*_findings(), *about_forms],
    }


def doctor_text(found: DoctorDocument) -> str:
    """The document for people, problems last."""
    lines = []
    for name, value in found["environment"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {inner}" for key, inner in value.items())
        lines.append(f"{name.replace('_', ' ')}: {value}")
    findings = sorted(found["findings"], key=lambda finding: finding["level"] == "problem")
    for finding in findings:
        mark = "problem: " if finding["level"] == "problem" else ""
        lines.append(mark + finding["text"])
    return "\n".join(lines)


def _findings() -> list[FindingDocument]:
    root = cache_root()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    found = [_note(f"cache: {root}, {free / 2**30:.1f} GiB free")]
    if free < NEEDED_BYTES:
        found.append(_problem(f"{place} has {free / 2**30:.1f} GiB free, 4 GiB are wanted"))
    if not os.access(place, os.W_OK):
        found.append(_problem(f"{place} cannot be written: set SPARSEBENCH_CACHE to a folder of yours"))
    if offline():
        found.append(_note("SPARSEBENCH_OFFLINE is set: nothing will be downloaded"))
    if not shutil.which("apt-get"):
        found.append(_note("no apt-get here: sources from Debian packages (fashion-mnist) cannot be fetched"))
    found += [_note(line) for line in problems()]
    found += [_problem(line) for line in plugin_problems()]
    found.append(_note(_experts()))
    found.append(_note(_packed_weights()))
    found.append(_note(f"matrix speed: bfloat16 is {_bf16_ratio():.1f} times as fast as float32 on one thread"))
    return found


def _note(text: str) -> FindingDocument:
    return {"level": "note", "text": text}


def _problem(text: str) -> FindingDocument:
    return {"level": "problem", "text": text}


def _experts() -> str:
    """Whether the C++ experts are in use; builds them if nobody has yet."""
    from sparsebench.models.moe.experts.native import status

    return status()


def _packed_weights() -> str:
    """Whether the C++ products of packed weights are in use, likewise."""
    from sparsebench.models.compression.quantisation.packed.kernels.native import status

    return status()


def _forms() -> str:
    """What was measured here of exact forms."""
    from sparsebench.models.native.forms import status

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
