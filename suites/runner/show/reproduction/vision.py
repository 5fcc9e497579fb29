"""What a table of VTAB-1K does before its cells run: decode the images, and time a step where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ...discovery.loading import load_parts, load_task
from ...errors import UsageError
from ...execution.explanation import one_line
from ...identity.cell import Cell
from ...planning.durations import clock
from .needs import H100, RATE_TEXT

if TYPE_CHECKING:
    from sparsebench.data.vision.vtab1k import ImageList
    from sparsebench.data.vision.vtab1k.decoded import Form

    from ....prediction.task import PredictionTask
    from ....vtab.pace import Pace

Say = Callable[[str], None]
EACH = 2000
"""Images for which another process is worth its start, which takes seconds."""


@dataclass(frozen=True)
class Supply:
    """Images a second: decoded by worker processes, and read from what they decoded; None where nothing is decoded."""

    decoded: float
    read: float | None = None


def decode_images(cells: Sequence[Cell], workers: int, say: Say) -> None:
    """Decode all images that these cells read, at the sizes of their networks.

    Args:
        cells: of a profile; those that cannot run are passed over. Where they score a part of the test images, test
            images are not decoded.
        workers: processes.
        say: gets a line for each task.

    Raises:
        DataError: a folder, an image or a disk that is not as it must be.
    """
    from sparsebench.data.vision.vtab1k.decoded import decoders

    from ....vtab.decoding import check_space, decode_task, missing_images

    for form, parts_by_task in _wanted(cells, _lists_by_task(cells, say)):
        missing = missing_images((part for parts in parts_by_task.values() for part in parts), form)
        processes = max(1, min(workers, missing // EACH))
        if missing:
            gigabytes = check_space(missing, form) / 1e9
            say(f"decoding at {form.size} pixels: {gigabytes:.2f} GB in the cache, processes: {processes}")
        with decoders(processes) as run:
            for task, parts in parts_by_task.items():
                done = decode_task(parts, form, run)
                rate = f", {done.made / done.seconds:,.0f} a second" if done.made else ""
                say(f"{task}: {done.images:,} images, {done.made:,} decoded now{rate}")


def reckon(cells: Sequence[Cell], workers: int, device: str, say: Say) -> None:
    """Time a step of each row, and say what follows from it.

    Args:
        cells: of a profile.
        workers: processes that would decode images.
        device: what the cells are to run on.
        say: gets the lines, and one for each task that the folder lacks.

    Raises:
        UsageError: no cell can run, or no row can be timed.
    """
    import torch

    from ....vtab.decoding import decoding_rate, reading_rate
    from ....vtab.pace import Sizes, pace_of, seconds_of

    lists = _lists_by_task(cells, say)
    waiting = [cell for cell in cells if cell.reason is None and lists.get(cell.info.task)]
    sizes = {task: Sizes(len(parts[0]), len(parts[1]), len(parts[-1])) for task, parts in lists.items() if parts}
    paces: list[Pace] = []
    total = 0.0
    for (label, _), row in _by_row(waiting).items():
        loaded = load_parts(row[0].parts, row[0].info.links)
        task = cast("PredictionTask", loaded.task)
        try:
            paces.append(pace_of(task, loaded.chain, loaded.loaders, row[0].info, torch.device(device)))
        except Exception as error:  # whatever a method raises in a few steps: its cells will say so, too
            say(f"{label}: not timed, and not in the sum: {type(error).__name__}: {one_line(error)}")
            continue
        seconds = sum(seconds_of(paces[-1], cell.info, sizes[cell.info.task]) for cell in row)
        total += seconds
        say(_row_line(label, row, paces[-1], seconds))
    if not paces:
        raise UsageError("no row of this table could be timed here")
    say(f"all of it: {clock(total)} on {device}, reckoned from these steps; loading and other users are not in it")
    form, by_task = _wanted(waiting, lists)[0]
    part = next(iter(by_task.values()))[0]
    supply = Supply(workers * decoding_rate(part, form), reading_rate(part, form))
    for line in waiting_lines(supply, workers, min(paces, key=lambda pace: pace.forward), device):
        say(line)


def waiting_lines(supply: Supply, workers: int, pace: Pace, device: str) -> list[str]:
    """For which part of an evaluation a device would wait for images, with and without the decoded ones.

    Args:
        supply: images a second.
        workers: processes that decode.
        pace: of the row that takes images fastest.
        device: this one.

    Returns:
        Lines.
    """
    from ....vtab.decoding import waiting

    rates = {f"{workers} processes that decode": supply.decoded}
    if supply.read is not None:
        rates["the decoded images"] = supply.read
    lines = ["images a second: " + ", ".join(f"{_rate(rate)} from {name}" for name, rate in rates.items())]
    takers = {f"{device}, as measured,": 1 / pace.forward, f"a GPU ({RATE_TEXT})": H100 / pace.flops}
    for name, demand in takers.items():
        parts = [f"{waiting(rate, demand):.0%} of its time for {source}" for source, rate in rates.items()]
        lines.append(f"{name} takes {_rate(demand)} in a forward pass, and waits {', '.join(parts)}")
    return lines


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _row_line(label: str, row: Sequence[Cell], pace: Pace, seconds: float) -> str:
    step = "no steps"
    if pace.step is not None:
        step = f"{1000 * pace.step:.3g} ms of training an image (steps of {pace.images})"
    tasks = len({cell.info.task for cell in row})
    text = f"{label}: {step}, {1000 * pace.forward:.3g} ms of a forward pass; {pace.trials} trials and 1 training"
    return f"{text} × {tasks} tasks × {len(row) // tasks} seeds = {clock(seconds)}"


def _by_row(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.info.label, cell.info.backbone), []).append(cell)
    return found


def _lists_by_task(cells: Iterable[Cell], say: Say) -> dict[str, list[ImageList]]:
    """The four lists of each task of cells that can run; none of a task that the folder lacks, which is said."""
    from ....vtab.community_folder import FolderTask
    from ....vtab.decoding import parts_of

    found: dict[str, list[ImageList]] = {}
    for cell in cells:
        name = cell.info.task
        if cell.reason is not None or name in found:
            continue
        task = load_task(cell.parts.task)
        assert isinstance(task, FolderTask)
        missing = task.missing()
        found[name] = [] if missing else parts_of(task)
        if missing:
            say(f"{name}: {missing}")
    return found


def _wanted(
    cells: Sequence[Cell], lists: Mapping[str, list[ImageList]]
) -> list[tuple[Form, dict[str, list[ImageList]]]]:
    """By form, the lists of each task that some network reads in it."""
    import torch

    from ....vtab.body import VisionBody
    from ....vtab.decoding import form_of

    forms: dict[str, Form] = {}
    wanted: dict[Form, dict[str, list[ImageList]]] = {}
    for cell in cells:
        parts = lists.get(cell.info.task)
        if not parts:
            continue
        for name, load in load_parts(cell.parts, cell.info.links).loaders.items():
            if name not in forms:
                body = load(torch.Generator().manual_seed(0))
                assert isinstance(body, VisionBody)
                forms[name] = form_of(body)
            whole = "test_examples" not in cell.info.budget or cell.info.budget["test_examples"] is None
            wanted.setdefault(forms[name], {})[cell.info.task] = parts if whole else parts[:-1]
    return list(wanted.items())
