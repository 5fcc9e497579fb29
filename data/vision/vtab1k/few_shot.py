"""Few-shot lists: 1, 2, 4, 8 or 16 images of each class out of the 1,000, the same on every machine.

A row's place in its class's order is the sha256 of seed, task and path, so that no library's random numbers are in it.
Fewer shots are a part of more of the same seed.
"""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from ...errors import LocalFolderError
from .checksums import write_sums
from .layout import VtabTask

SHOTS = (1, 2, 4, 8, 16)
FOLDER = "few_shot"


class Row(NamedTuple):
    """One line of a list: the path below the task's folder, and the class."""

    name: str
    label: int


def draw(task: VtabTask, shots: int, seed: int) -> list[Row]:
    """``shots`` rows of each class of train800val200, in the order of that list; all rows of a class with fewer.

    Raises `LocalFolderError` for another number of shots than 1, 2, 4, 8 and 16.
    """
    if shots not in SHOTS:
        raise LocalFolderError(f"{shots} shots: there are lists of {', '.join(map(str, SHOTS))}")
    part = task.train800val200
    folder = part.listing.parent
    by_class: dict[int, list[Row]] = defaultdict(list)
    rows = []
    for file, label in zip(part.files, part.labels, strict=True):
        row = Row(file.relative_to(folder).as_posix(), label)
        rows.append(row)
        by_class[label].append(row)
    chosen: set[Row] = set()
    for members in by_class.values():
        chosen.update(sorted(members, key=lambda row: _place(seed, task.name, row))[:shots])
    return [row for row in rows if row in chosen]


def write(task: VtabTask, seed: int, root: Path) -> Path:
    """Write the five lists of a seed and their SHA256SUMS to `<root>/<task>/few_shot/seed<seed>`; gives that folder.

    Their paths are below the task's folder, as in the other lists.
    """
    folder = root / task.name / FOLDER / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for shots in SHOTS:
        file = folder / f"{shots}.txt"
        file.write_text("".join(f"{row.name} {row.label}\n" for row in draw(task, shots, seed)), encoding="utf-8")
        files.append(file)
    write_sums(folder, files)
    return folder


def _place(seed: int, task: str, row: Row) -> str:
    return hashlib.sha256(f"{seed} {task} {row.name}".encode()).hexdigest()
