"""Published small runs: the two CSV files of a swarm, as Olmix (arXiv 2602.12237) publishes them.

`ratios.csv` has a row for each run, with the fraction of each data set; `metrics.csv` has the scores of the same runs
by the name of the metric, the lower the better (bits per byte). Both say which run a row is in the column "run" or
"run_id"; "name", "index" and columns without a name are no data.
"""

import csv
import math
from pathlib import Path

from ..errors import MixtureError
from .proxy_runs import ProxyRun

IDS = ("run", "run_id")
"""Names of the column that says which run a row is."""
NO_DATA = (*IDS, "name", "index", "")


def read_swarm(ratios: Path, metrics: Path) -> list[ProxyRun]:
    """The runs of a swarm that are in both files, in the order of the first.

    Example::

        runs = read_swarm(Path("ratios.csv"), Path("metrics.csv"))
        strategy("proxy_regression", tuple(runs[0].weights), runs=runs, sizes=tokens_by_data_set)

    Args:
        ratios: the file of fractions.
        metrics: the file of scores.

    Returns:
        Fractions and scores of each run.

    Raises:
        MixtureError: a file without a column of runs, a run twice, a value that is no number, or no run in both.
        OSError: a file that cannot be read.
    """
    fractions = _read(ratios)
    scores = _read(metrics)
    found = [ProxyRun(weights, scores[run]) for run, weights in fractions.items() if run in scores]
    if not found:
        raise MixtureError(f"{ratios} and {metrics} have no run in common")
    return found


def _read(path: Path) -> dict[str, dict[str, float]]:
    """The numbers of each row, by its run."""
    found: dict[str, dict[str, float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        names = rows.fieldnames or ()
        of_run = [name for name in IDS if name in names]
        if not of_run:
            raise MixtureError(f"{path} has no column {' or '.join(map(repr, IDS))}, but {', '.join(names)}")
        for row in rows:
            run = row[of_run[0]]
            if run in found:
                raise MixtureError(f"{path} has the run {run!r} twice")
            found[run] = {name: _number(path, run, name, row[name]) for name in names if _is_data(name)}
    return found


def _is_data(name: str) -> bool:
    return name not in NO_DATA and not name.startswith("Unnamed")


def _number(path: Path, run: str, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError as error:
        raise MixtureError(f"{path}: {name} of the run {run!r} is {text!r}, which is no number") from error
    if not math.isfinite(value):
        raise MixtureError(f"{path}: {name} of the run {run!r} is {value}; leave that run out")
    return value
