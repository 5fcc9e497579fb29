"""Where the host waited for the device: file and line of ours, how, and in which part of the work."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
OURS = tuple(f"{ROOT / room}/" for room in ("models", "data", "suites", "reports"))
PARTS = {
    "forward": ("torch/nn/modules/module.py", "_call_impl"),
    "backward": ("tests/device/walked.py", "walk"),
    "step": ("suites/training/step.py", "step"),
}
"""By which function of the callers a part of the work is known; the first that fits counts."""


class Place(NamedTuple):
    """A line, what made the host wait there, and the part of the work."""

    line: str
    what: str
    part: str


class Places:
    """How often the host waited at each place."""

    def __init__(self) -> None:
        self.found: Counter[Place] = Counter()

    def waited(self, what: str) -> None:
        """The host waited, here: the innermost line of ours among the callers counts.

        Args:
            what: which operator made it wait.
        """
        frame: FrameType | None = sys._getframe(1)
        line = ""
        part = "elsewhere"
        while frame is not None:
            name = frame.f_code.co_filename
            if not line and name.startswith(OURS):
                line = f"{Path(name).relative_to(ROOT)}:{frame.f_lineno}"
            for candidate, (file, function) in PARTS.items():
                if part == "elsewhere" and name.endswith(file) and frame.f_code.co_name == function:
                    part = candidate
            frame = frame.f_back
        self.found[Place(line or "a library", what, part)] += 1
