"""Findings that records of schema 3 and before hold as curves, in the form in which methods note them since.

A point was (number of the block or layer, value); of "compression bytes" and "compression active", at 0 before and at 1
after. In a record of a chain the link stands before the name: "2. compression bits".
"""

from __future__ import annotations

from typing import Any

from .links import split

# The names of these entries and what stands in them: `compression/notes.py`, `routers/health.py`, which stand on this.
Curves = dict[str, list[tuple[float, float]]]
LAST_SCHEMA = 3
"""The last version of records that may have such curves."""
_COMPRESSION = "compression "
_BY_BLOCK = {"dropped by block": "dropped", "similarity by block": "similarity"}
_END = " by layer"


def take_notes(curves: Curves) -> dict[str, Any]:
    """Take the findings out of the curves of a record.

    Returns:
        Entries of `Record.details`. Layers that were dropped without a note of the bytes stay curves.
    """
    found: dict[str, Any] = {}
    for link in sorted({name.removesuffix(split(name)[1]) for name in curves}):  # "2. ", or nothing
        if f"{link}{_COMPRESSION}bytes" in curves:
            found[link + "compression"] = _compression(curves, link)
        if any(name.startswith(f"{link}router ") and name.endswith(_END) for name in curves):
            found[link + "router_health_on_calibration"] = _router_health(curves, link)
    return found


def _compression(curves: Curves, link: str) -> dict[str, Any]:
    found: dict[str, Any] = {"blocks": {}}
    for name in list(curves):
        kind = name.removeprefix(link)
        if kind not in _BY_BLOCK and not kind.startswith(_COMPRESSION):
            continue
        points = curves.pop(name)
        kind = _BY_BLOCK.get(kind, kind.removeprefix(_COMPRESSION).replace(" ", "_"))
        if kind in ("bytes", "active"):
            found[kind] = [value for _, value in points]
            continue
        for block, value in points:
            found["blocks"].setdefault(str(int(block)), {}).setdefault(kind, []).append(value)
    return found


def _router_health(curves: Curves, link: str) -> dict[str, Any]:
    """Dead experts were counted, not named: the first ones stand for them."""
    layers: list[str] = []
    columns: dict[str, list[float]] = {"experts": [], "worst": [], "entropy": [], "cv2": []}
    dead: dict[str, str] = {}
    for part in ("router", "router attention"):
        start = f"{link}{part} "
        experts = curves.pop(f"{start}experts{_END}", [])
        names = [f"{int(block)}{part.removeprefix('router')}" for block, _ in experts]
        layers += names
        columns["experts"] += [int(count) for _, count in experts]
        for column, kind in (("worst", "worst expert"), ("entropy", "entropy"), ("cv2", "load cv2")):
            columns[column] += [value for _, value in curves.pop(f"{start}{kind}{_END}", [])]
        # Not strict: a record may have no curve of dead experts.
        for name, (_, count) in zip(names, curves.pop(f"{start}dead experts{_END}", []), strict=False):
            if count:
                dead[name] = " ".join(map(str, range(int(count))))
    texts = {name: " ".join(map(str, values)) for name, values in columns.items()}
    experts_text = texts.pop("experts")
    domain = {**texts, "dead": dead, "token_entropy": " ".join("-" for _ in layers)}
    return {"layers": layers, "experts": experts_text, "domains": {"calibration data": domain}}
