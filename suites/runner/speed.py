"""The speed cells: ours timed beside named peers by pytest-benchmark, on this machine.

They are tests (`tests/speed` in the tree, `sparsebench.speed` in an installation) and run in a process of pytest of
their own, which says itself what it skips and what fails.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from sparsebench.reports.page.speed import SPEED_FILE, SpeedReport, read_speed
from sparsebench.reports.records.store import Store

from .errors import ExecutorError, UsageError, near

NEEDED = {"pytest": "pytest", "pytest_benchmark": "pytest-benchmark", "pytest_timeout": "pytest-timeout"}
"""Modules and their distributions: the extra `speed`."""
FINISHED, INTERRUPTED, NOTHING = (0, 1), 2, 5
"""Exit codes of pytest: all was run, whether or not something failed; Ctrl-C; there was nothing to run."""


def speed_cells() -> dict[str, Path]:
    """Each cell's file by its name: `moe` of `test_moe_speed.py`.

    Raises:
        UsageError: this installation has none.
    """
    spec = find_spec("sparsebench.speed")
    if spec is None or spec.submodule_search_locations is None:
        raise UsageError("this installation has no speed cells: install sparsebench again")
    found = {}
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder).glob("test_*_speed.py")):
            found[path.stem.removeprefix("test_").removesuffix("_speed")] = path
    return found


def choose(names: Sequence[str]) -> list[Path]:
    """The files of the cells of these names; all if there are none.

    Raises:
        UsageError: there is no cell of a name.
    """
    cells = speed_cells()
    for name in names:
        if name not in cells:
            raise UsageError(f"there is no speed cell {name!r}{near(name, cells)}")
    return [cells[name] for name in names or cells]


def run_speed(out: Path, cells: Sequence[Path], *, full: bool = False, check: bool = False) -> SpeedReport | None:
    """Time cells and write `speed.json`, in the place of an earlier one, when all have ended.

    Args:
        out: the result folder, made if it is missing.
        cells: files of `choose`.
        full: also the cells and peers that take many minutes.
        check: a target that is not reached fails its cell.

    Returns:
        What was measured; None if nothing was, and then the earlier file stays.

    Raises:
        UsageError: pytest or one of its plugins is not installed.
        StoreError: the folder cannot be written, or is of a newer schema.
        ExecutorError: pytest ended early. Nothing was written.
        KeyboardInterrupt: it was stopped. Nothing was written.
    """
    missing = [distribution for module, distribution in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise UsageError(f"speed cells need {' and '.join(missing)}: pip install 'sparsebench[speed]'")
    Store(out).create()
    with TemporaryDirectory(prefix=".speed-", dir=out) as folder:
        written = Path(folder).resolve() / SPEED_FILE
        # The plugin would make a store of its own where the command is called.
        places = f"--benchmark-json={written}", f"--benchmark-storage=file://{written.parent}"
        command = [sys.executable, "-P", "-m", "pytest", *places, *map(str, cells)]
        code = subprocess.run(command, env=_environment(full, check)).returncode
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code not in (*FINISHED, NOTHING):
            raise ExecutorError(f"pytest ended with exit code {code}; no speed run was written")
        # Without a figure, pytest-benchmark writes nothing; earlier versions had opened the file by then.
        if not written.exists() or not written.stat().st_size:
            return None
        report = read_speed(written)
        written.replace(out / SPEED_FILE)
    return report


def _environment(full: bool, check: bool) -> Mapping[str, str]:
    """That of this process, without what it says to another pytest, and with what the cells ask for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    if full:
        kept["SPARSEBENCH_SPEED"] = "full"
    if check:
        kept["SPARSEBENCH_SPEED_CHECK"] = "1"
    return kept
