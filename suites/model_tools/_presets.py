"""Names of the presets, read from their file and not imported: help texts list them, and need no torch."""

import ast
import functools
from pathlib import Path

FILE = Path(__file__).parents[2] / "models" / "moe" / "presets.py"


@functools.cache
def preset_names() -> tuple[str, ...]:
    """Functions of `models/moe/presets.py` that take `faithful` alone: each makes the configuration of its name."""
    found = []
    for node in ast.parse(FILE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and [one.arg for one in node.args.args] == ["faithful"]:
            found.append(node.name)
    return tuple(found)
