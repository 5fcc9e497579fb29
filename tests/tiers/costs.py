"""What each test function costs: CPU seconds of all its cases, programs that they start included.

What a fixture of a module or a session takes is paid by whichever function comes first, so it stands beside the own
cost of each function that needs it: `[own, shared]` instead of one figure. What is imported inside of a function is
paid once in a process, too: it counts as collecting.

`tests/costs.json` is written by `make test-long` (all functions) and `make costs` (new ones). A figure is changed only
where the new one is clearly another, so that other machines and busy ones leave most lines as they are.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "costs.json"
NEW = 1.0
"""What a function is reckoned at before it is measured."""
NOISE = 1.5
"""A figure stays where the new one differs by a smaller factor."""
LEAST = 0.02
"""Below this, figures are the same."""
SHARED = 1.0
"""Shared fixtures of fewer seconds count for nobody: some function or other that is run anyway pays them."""
NOT_RUN = "speed"
FUNCTION = re.compile(r"^(?:async )?def (test_\w*)", re.MULTILINE)
TEXT = re.compile(r"""\"{3}.*?\"{3}|'{3}.*?'{3}""", re.DOTALL)


def function_of(nodeid: str) -> str:
    """`tests/a/test_b.py::test_c[case]` without its case."""
    return nodeid.partition("[")[0]


def functions(root: Path = ROOT) -> list[str]:
    """All test functions of the tree but speed runs, read from the files."""
    found = []
    for path in sorted((root / "tests").rglob("test_*.py")):
        file = path.relative_to(root)
        if file.parts[1] != NOT_RUN:
            code = TEXT.sub("", path.read_text(encoding="utf-8"))
            found += [f"{file.as_posix()}::{name}" for name in FUNCTION.findall(code)]
    return list(dict.fromkeys(found))


class Costs:
    """The costs file.

    Args:
        file: where it lies; without it, nothing is known.
    """

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        stored = json.loads(file.read_text()) if file.is_file() else {"collection": 0.0, "files": {}}
        self.collection: float = stored["collection"]
        """CPU seconds that one process takes to collect everything, all imports included, those in functions too."""
        self.known: dict[str, float] = {}
        """Own CPU seconds."""
        self.shared: dict[str, float] = {}
        """CPU seconds of the shared fixtures that a function needs, where they count."""
        for path, seconds in stored["files"].items():
            for name, value in seconds.items():
                own, shared = value if isinstance(value, list) else (value, 0.0)
                self.known[f"{path}::{name}"] = own
                if shared:
                    self.shared[f"{path}::{name}"] = shared

    def of(self, function: str) -> float:
        """What a function costs when it runs alone."""
        return self.known.get(function, NEW) + self.shared.get(function, 0.0)

    def together(self, names: Iterable[str]) -> float:
        """What functions cost in one run: the shared fixtures of a file once."""
        own = 0.0
        shared: dict[str, float] = {}
        for name in names:
            file = name.partition("::")[0]
            own += self.known.get(name, NEW)
            shared[file] = max(shared.get(file, 0.0), self.shared.get(name, 0.0))
        return own + sum(shared.values())

    def update(
        self, measured: Mapping[str, float], shared: Mapping[str, float], collection: float | None = None
    ) -> None:
        """Take in new measurements, and forget functions that the tree no longer has."""
        present = functions(self._file.parents[1])
        for name, seconds in measured.items():
            self.known[name] = settled(self.known.get(name), seconds)
            self.shared[name] = settled(self.shared.get(name), shared.get(name, 0.0))
        self.known = {name: self.known[name] for name in present if name in self.known}
        self.shared = {
            name: seconds for name, seconds in self.shared.items() if seconds >= SHARED and name in self.known
        }
        if collection is not None:
            self.collection = settled(self.collection, collection)

    def write(self) -> None:
        files: dict[str, dict[str, float | list[float]]] = {}
        for function, seconds in self.known.items():
            path, _, name = function.partition("::")
            shared = self.shared.get(function)
            files.setdefault(path, {})[name] = [seconds, shared] if shared else seconds
        stored = {"collection": self.collection, "files": files}
        self._file.write_text(json.dumps(stored, indent=0, sort_keys=True) + "\n")


def settled(before: float | None, seconds: float) -> float:
    """The figure to keep: the one before where the new one is nearly the same, else the new one in two digits."""
    new = max(seconds, LEAST)
    if before is not None and before / NOISE <= new <= before * NOISE:
        return before
    return float(f"{new:.2g}")
