"""What the process that leads a run costs: `python tests/suites/runner/measure_parent.py [CELLS]`.

Runs so many trivial cells of the toy plug-in on two workers, and prints the CPU seconds of this process against the
wall seconds: for the whole command, and for the cells alone (without imports and planning, which cost the same for any
number of cells or are kept for the next run).
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

PLUGIN = Path(__file__).parent / "plugin"


def main(cells: int) -> None:
    """Run them and print the shares."""
    import yaml

    from sparsebench.suites.runner import run as module
    from sparsebench.suites.runner.console import open_console
    from sparsebench.suites.runner.execution.executors.interface import Options
    from sparsebench.suites.runner.planning.profile import load_profile

    suite = {"seeds": cells, "backbones": ["toy_line"], "methods": ["toy_fine"], "tasks": ["toy_sum"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trivial.yaml"
        path.write_text(yaml.safe_dump({"molecules": suite}))
        module.run_cells = _timed("cells alone", module.run_cells)
        whole = _timed("whole run", module.run)
        with (Path(folder) / "output").open("w") as output:
            console = open_console(output, width=200)
            code = whole(load_profile(str(path)), Path(folder) / "out", Options(workers=2), "exact", console)
    if code:
        raise SystemExit("the cells did not run")


def _timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any) -> Any:
        cpu = process_time()
        wall = perf_counter()
        result = function(*arguments)
        cpu = process_time() - cpu
        wall = perf_counter() - wall
        sys.stdout.write(f"{name}: {cpu:.1f} s of CPU in {wall:.1f} s, {cpu / wall:.1%}\n")
        return result

    return timed


if __name__ == "__main__":
    if str(PLUGIN) not in os.environ.get("PYTHONPATH", ""):
        os.environ["PYTHONPATH"] = str(PLUGIN)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
