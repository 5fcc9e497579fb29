"""Progress where there is no terminal: one line for each cell."""

import io

from rich.console import Console

from sparsebench.suites.runner.execution.execute import End
from sparsebench.suites.runner.execution.executors.interface import Ended, Started
from sparsebench.suites.runner.execution.progress import Display
from sparsebench.suites.runner.planning.durations import Durations
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import load_profile


def test_each_cell_that_ends_is_a_line() -> None:
    """Escape codes of its error are written out: `| tee` shows them on a terminal all the same."""
    cells = expand(load_profile("smoke", ["molecules"]))[:2]
    text = io.StringIO()
    with Display(Console(file=text, width=200), cells, Durations(), workers=1) as display:
        display.update([Started(cells[0], "worker 1")])
        display.update([Ended(cells[0], End(cells[0].id, "ok", None, 2.0, "rmse 1.5"))])
        display.update([Ended(cells[1], End(cells[1].id, "failed", "it broke \x1b[31m", 1.0))])
    first, second = text.getvalue().splitlines()
    assert cells[0].title in first and "rmse 1.5 (2.0 s" in first
    assert cells[1].title in second and r"it broke \x1b[31m (1.0 s" in second
