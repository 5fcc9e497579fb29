"""Ended cells in an experiment tracker (`--log-with`): TensorBoard, MLflow, Weights & Biases and others, by accelerate.

Each cell becomes a run of its own, made from its record alone, so that it does not matter where the cell ran.
"""

import importlib.util
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sparsebench.data.errors import reason_of
from sparsebench.reports.records.record import Record

from ..errors import UsageError, near

PROJECT = "sparsebench"
NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")
"""What some tracker refuses in the name of a metric."""

Arguments = Callable[[str, Path], dict[str, Any]]
"""From the name of a run and the log folder to the arguments of accelerate's tracker."""


def _folder_of_a_run(name: str, folder: Path) -> dict[str, Any]:
    return {"run_name": name, "logging_dir": str(folder)}


def _named_in_project(keyword: str) -> Arguments:
    return lambda name, folder: {"run_name": PROJECT, keyword: name}


def _wandb(name: str, folder: Path) -> dict[str, Any]:
    return {"run_name": PROJECT, "name": name, "dir": str(folder)}


def _mlflow(name: str, folder: Path) -> dict[str, Any]:
    return {"experiment_name": PROJECT, "run_name": name}


def _dvclive(name: str, folder: Path) -> dict[str, Any]:
    return {"dir": str(folder / name)}


TRACKERS: Mapping[str, tuple[str, Arguments]] = {
    "aim": ("aim", _folder_of_a_run),
    "clearml": ("clearml", _named_in_project("task_name")),
    "comet_ml": ("comet_ml", lambda name, folder: {"run_name": f"{PROJECT} {name}"}),
    "dvclive": ("dvclive", _dvclive),
    "mlflow": ("mlflow", _mlflow),
    "swanlab": ("swanlab", _named_in_project("experiment_name")),
    "tensorboard": ("tensorboard", _folder_of_a_run),
    "trackio": ("trackio", _named_in_project("name")),
    "wandb": ("wandb", _wandb),
}
"""The module that each tracker needs, and what its class in accelerate is made with."""


class Trackers:
    """Logs records with some trackers, into a folder where they keep files.

    Raises:
        UsageError: no such tracker, or its package is not installed.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        for name in names:
            if name not in TRACKERS:
                raise UsageError(f"--log-with {name}: no such tracker{near(name, TRACKERS)}")
            module, _ = TRACKERS[name]
            if importlib.util.find_spec(module) is None:
                package = module.replace("_", "-")
                raise UsageError(f"--log-with {name}: the package is not installed: pip install {package}")
        self._names = tuple(dict.fromkeys(names))
        self._folder = folder

    def log(self, record: Record) -> list[str]:
        """Log one record with each tracker; returns a line for each that could not."""
        problems = []
        for name in self._names:
            try:
                self._log(name, record)
            except Exception as error:  # a tracker may fail in any way; the record is kept, and the run goes on
                reason = reason_of(error)
                problems.append(f"{name} did not log {record.id}: {reason}")
        return problems

    def _log(self, name: str, record: Record) -> None:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState(cpu=True)  # accelerate's trackers ask it whether this is the main process; no device is touched
        _, arguments = TRACKERS[name]
        self._folder.mkdir(parents=True, exist_ok=True)
        tracker = LOGGER_TYPE_TO_CLASS[name](**arguments(run_name(record), self._folder))
        tracker.start()
        tracker.store_init_configuration(settings(record))
        last = 0
        for step, values in curve_points(record):
            tracker.log(values, step=step)
            last = step
        tracker.log(results(record), step=last + 1)
        tracker.finish()


def run_name(record: Record) -> str:
    """What the run of a record is called: a name for people that is a file name too, and the record's id."""
    info = record.cell
    words = f"{info.suite} {info.task} {info.label} {info.backbone} seed {info.seed}"
    return f"{re.sub(r'[^A-Za-z0-9.=+-]+', '_', words).strip('_')}_{record.id[:8]}"


def settings(record: Record) -> dict[str, bool | int | float | str]:
    """What was run and how it ended, flat: "config.lora.rank", "budget.epochs"."""
    info = asdict(record.cell)
    chain = {link.method: link.config for link in record.cell.links}
    for name in ("method", "config", "then"):
        del info[name]
    ended = {"status": record.status, "reason": record.reason, "record": record.id, "code": record.code}
    return _flat({**info, "config": chain, **ended})


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    found: dict[str, bool | int | float | str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            found[prefix + name] = value
        else:
            found[prefix + name] = json.dumps(value)
    return found


def curve_points(record: Record) -> list[tuple[int, dict[str, float]]]:
    """Values by step, in order, over all curves of the record; fractions of a step are numbered through."""
    places = sorted({place for points in record.curves.values() for place, _ in points})
    whole = all(place == int(place) for place in places)
    found: dict[float, dict[str, float]] = {place: {} for place in places}
    for name, points in record.curves.items():
        for place, value in points:
            found[place][_plain(f"curve/{name}")] = value
    steps = [int(place) for place in places] if whole else list(range(len(places)))
    return list(zip(steps, found.values(), strict=True))


def results(record: Record) -> dict[str, float]:
    """Scores, costs and seconds of a record, under names that every tracker takes."""
    found: dict[str, float] = {f"metric/{name}": metric.value for name, metric in record.metrics.items()}
    for title, costs in (("costs", record.costs), ("training", record.training)):
        if costs is not None:
            values = asdict(costs)
            found |= {f"{title}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
    found |= {f"seconds/{name}": seconds for name, seconds in record.times.items()}
    return {_plain(name): value for name, value in found.items()}


def _plain(name: str) -> str:
    return NOT_IN_NAMES.sub("_", name)
