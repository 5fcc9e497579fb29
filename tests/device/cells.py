"""Cells of a profile on the simulated device: the whole of `Task.run`, and the scores beside those of the CPU."""

from __future__ import annotations

import multiprocessing
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor

from sparsebench.reports.records.record import CellInfo
from sparsebench.suites.runner.execution.assembly import score_cell
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import load_profile

from .functions import Case, largest_error
from .places import ROOT, Place
from .pretence import simulated_device

SECONDS = 3600.0
"""What one case may take."""


@dataclass
class Found:
    """What one case found: the error that ended it, where the host waited, the scores there and on the CPU."""

    error: str = ""
    places: Mapping[Place, int] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)


def cases_of(profile: str) -> Iterator[tuple[str, CellInfo]]:
    """Title and cell of each method, task and backbone of a profile, of its first seed; no cell that cannot run."""
    for cell in expand(load_profile(profile)):
        if cell.info.seed == 0 and cell.reason is None:
            yield f"{cell.info.suite}/{cell.info.task} {cell.info.label} on {cell.info.backbone}", cell.info


def in_cell(info: CellInfo) -> Found:
    """A cell on the CPU and on the simulated device, each in a process of its own: what cells share stays there."""
    here = apart(lambda: Found(scores=_scores(info, "cpu")))
    if here.error:
        return replace(here, error=f"on the CPU: {here.error}")
    return replace(apart(lambda: on_device(lambda: _scores(info, "cuda:0"))), expected=here.scores)


def in_function(case: Case, dtype: torch.dtype) -> Found:
    """A function of ours in a type, on the CPU and on the simulated device."""
    here: dict[str, Tensor] = {}

    def call() -> Mapping[str, float]:
        return {"relative error": largest_error(case("cuda:0", dtype), here)}

    def both() -> Found:
        here.update(case("cpu", dtype))
        return on_device(call)

    return replace(apart(both), expected={"relative error": 0.0})


def on_device(call: Callable[[], Mapping[str, float]]) -> Found:
    """Call it on the simulated device, in this process."""
    scores: Mapping[str, float] = {}
    error = ""
    with simulated_device() as device:
        try:
            scores = call()
        except Exception as raised:  # whatever it is, the table says it
            error = _said(raised)
    return Found(error, dict(device.places.found), scores)


def _scores(info: CellInfo, device: str) -> Mapping[str, float]:
    outcome = score_cell(info, device, None)
    return {name: metric.value for name, metric in outcome.metrics.items()}


def _said(error: Exception) -> str:
    """The error in a line, with the innermost line of ours."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(f"{ROOT}/")]
    ours = [frame for frame in lines if "/tests/device/" not in frame.filename and "/.venv/" not in frame.filename]
    where = ""
    if ours:
        where = f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno}: "
    text = str(error).strip().splitlines() or [""]
    return f"{where}{type(error).__name__}: {text[0]}"


def apart(work: Callable[[], Found]) -> Found:
    """Do it in a process of its own, forked from this one, so that no case reaches another."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_send, args=(work, theirs))
    process.start()
    theirs.close()
    try:
        found = ours.recv() if ours.poll(SECONDS) else Found(f"not done after {SECONDS:.0f} s")
    except EOFError:
        found = Found("its process ended without a word")
    process.kill()
    process.join()
    return found


def _send(work: Callable[[], Found], pipe: Connection) -> None:
    warnings.simplefilter("ignore")
    try:
        found = work()
    except Exception as error:
        found = Found(_said(error))
    pipe.send(found)
