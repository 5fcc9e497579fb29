"""What the audit found, as JSON and as a page: `models/DEVICE.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from .cells import Found
from .places import ROOT
from .roofline import predicted

PAGE = ROOT / "models" / "DEVICE.md"
STORE = ROOT / "tests" / "device" / "audit.json"
HOT = ("forward", "backward", "step")
"""Parts of the work that are repeated for each batch."""
ALLOWED = 0.05
"""Largest difference of a score, as a fraction of the CPU's: a training rounds otherwise from its first step on."""
MENDED = (
    "`models/moe/experts/dispatch.py`, `models/dynamic/linear/products.py`: experts in float32 and float16 went to "
    "`grouped_mm`, whose rule for graphs takes bfloat16 alone, and which in eager code loops over the experts and "
    "waits for the device; those that it does not fit at all went to loops over counts, which wait as well. They go to "
    "`grouped_product`, under autocast narrowed first.",
    "`models/moe/experts/grouped_product.py`: a counter of operations saw nothing of what this operator multiplies "
    "where it is one kernel.",
)
PREDICTED = (
    "The roofline of both products, forward, from the makers' peak rates and bandwidth (`tests/device/roofline.py`), "
    "without launches and caches. Ours does the same work in tiles, whose last rows are half empty; 4 bits are packed "
    "weights, where an expert has so few rows that they are read as such."
)
PREDICTED_COLUMNS = (
    *("card", "type", "tokens", "width", "hidden", "experts", "top_k"),
    *("GFLOP", "MB", "grouped_mm µs", "ours µs", "4 bits µs"),
)
HEAD = """# CUDA without a GPU

Made by `make device-audit`; not written by hand. No GPU was there: this is no measurement of one.

Each cell of the profile `smoke` (first seed), each of our autograd functions and the README's ten lines ran on a
simulated device (`tests/device/simulated.py`): tensors that say they are on `cuda:0`, whose shapes, types and devices
go through torch's rules for CUDA, and whose values lie on the CPU, on which every operator runs, too. Backward passes
are walked node by node without torch's engine, which asks for a real device (`tests/device/walked.py`). So a cell runs
from its data to its score: preparing, training, evaluating, measuring.

It finds tensors on a wrong device, types that a rule refuses, and where the host waits for the device, by name. It does
not find what only a kernel refuses when it is launched, nor anything about speed or memory. Attention ran as plain
products: which of torch's fused kernels is taken depends on the device. Convolutions and recurrent layers ran without
cuDNN, and optimizers one parameter at a time.
"""


def as_json(cases: Mapping[str, Found], kernels: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What is kept of an audit.

    Args:
        cases: what each found, by title.
        kernels: rows of "interpret" and "compile" (`kernels.py`).
    """
    rows = []
    for title, found in cases.items():
        hot = sum(count for place, count in found.places.items() if place.part in HOT)
        rows.append({"case": title, "error": found.error, "difference": difference(found), "waits": hot})
    return {"torch": torch.__version__, "cases": rows, "waits": _waits(cases.values()), "kernels": dict(kernels)}


def difference(found: Found) -> float | None:
    """The largest difference of a score to the CPU's, as a fraction of it; None without scores."""
    if not found.scores or found.error:
        return None
    differences = []
    for name, expected in found.expected.items():
        differences.append(abs(found.scores[name] - expected) / max(1.0, abs(expected)))
    return max(differences)


def _waits(found: Iterable[Found]) -> list[dict[str, Any]]:
    """Places where the host waits in a part that is repeated, those of most cases first."""
    cases: Counter[Any] = Counter()
    times: Counter[Any] = Counter()
    for one in found:
        for place, count in one.places.items():
            if place.part in HOT:
                cases[place] += 1
                times[place] += count
    ranked = sorted(cases, key=lambda place: (-cases[place], place))
    return [{**place._asdict(), "cases": cases[place], "times": times[place]} for place in ranked]


def problems(audit: Mapping[str, Any]) -> list[str]:
    """What is wrong: cases that ended in an error or with another score."""
    found = []
    for row in audit["cases"]:
        if row["error"]:
            found.append(f"{row['case']}: {row['error']}")
        elif row["difference"] is not None and row["difference"] > ALLOWED:
            found.append(f"{row['case']}: a score differs by {row['difference']:.1%} from the CPU's")
    return found


def rendered(audit: Mapping[str, Any]) -> str:
    """The page."""
    bad = problems(audit)
    good = len(audit["cases"]) - len(bad)
    parts = [
        HEAD,
        f"torch {audit['torch']}. {good} of {len(audit['cases'])} cases ran to their end with the CPU's scores.",
        "",
    ]
    parts += ["## Found and mended", "", *(f"- {line}" for line in MENDED), ""]
    parts += ["## What did not run", "", *([f"- {line}" for line in bad] or ["Nothing."]), ""]
    parts += ["## Where the host waits in a forward pass, a backward pass or a step", ""]
    parts += _table(audit["waits"], ("line", "what", "part", "cases", "times"))
    parts += ["## Kernels of Triton in its interpreter, against float64", ""]
    parts += ["By the norm of each result. The interpreter cuts numbers off to bfloat16, where a GPU rounds them.", ""]
    parts += _table(audit["kernels"]["interpret"], ("kernel", "type", "error", "round-off"))
    parts += ["## The same kernels compiled, no device needed", ""]
    parts += _table(audit["kernels"]["compile"], ("kernel", "type", "sm", "registers", "spilled bytes", "shared bytes"))
    parts += ["## Predicted, not measured: least times of routed experts", "", PREDICTED, ""]
    parts += _table(list(predicted()), PREDICTED_COLUMNS)
    parts += ["## Cases", "", "The last column counts how often the host waited in all repeated parts together.", ""]
    parts += _table(audit["cases"], ("case", "difference", "waits"))
    return "\n".join(parts).rstrip() + "\n"


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    for row in rows:
        lines.append("| " + " | ".join(_shown(row.get(column)) for column in columns) + " |")
    return [*lines, ""]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.1e}"
