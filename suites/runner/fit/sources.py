"""What kind of data the user has, and the task that it becomes."""

import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from sparsebench.data.errors import TableError
from sparsebench.data.labelled.dealt import PARTS, Rejected
from sparsebench.data.own.columns import INPUT_NAMES, Columns
from sparsebench.data.own.conversations import is_conversations, learnable_conversations
from sparsebench.data.own.labelled import OwnTable, learnable
from sparsebench.data.own.table_folder import COLUMNS_FILE, columns_text
from sparsebench.data.own.tables import Table, is_table, read_table
from sparsebench.data.own.values import Goal
from sparsebench.data.sources import source

from ..errors import UsageError

Kind = Literal["images", "text", "molecules", "conversations"]


@dataclass(frozen=True)
class Task:
    """The task behind a kind of data: its suite, its name, the source that its cells read, a profile of its own."""

    suite: str
    name: str
    source: str
    profile: str = ""


TASKS: dict[Kind, Task] = {
    "images": Task("vtab", "own_images", "own-images"),
    "text": Task("llm", "own_labelled_text", "own-labelled-text"),
    "molecules": Task("molecules", "own_molecules", "own-molecules"),
    "conversations": Task("llm", "own_conversations", "own-conversations", "fit-conversations"),
}


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """Data that can be learnt from: rows by part, names of classes or of predicted columns, rows of no part."""

    kind: Kind
    place: Path
    counts: dict[str, int]
    goal: Goal | Literal["their answers"]
    classes: tuple[str, ...]
    columns: Columns
    rejected: tuple[Rejected, ...]
    conflicting: tuple[str, ...] = ()
    """As in `OwnTable`."""
    table: OwnTable | None = None
    """Of texts and molecules: what was read."""
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Classes without an example, by the part that lacks some."""
    side: int = 0
    """Of images: the median of their longer sides, in pixels."""

    @property
    def task(self) -> Task:
        """The task behind it."""
        return TASKS[self.kind]


def look_at(data: Path, columns: Columns, kind: Kind | None) -> OwnData:
    """What there is to learn from.

    Args:
        data: a folder of images, a table, or a file of conversations.
        columns: those that were named; empty names are guessed.
        kind: what the inputs of a table are, where that was said.

    Returns:
        The data, read whole once.

    Raises:
        UsageError: a form that no task learns from.
        DataError: data that cannot be learnt from.
    """
    if not data.exists():
        raise UsageError(f"there is no {data}")
    if data.is_dir():
        if columns != Columns("", ()):
            raise UsageError(f"{data} is a folder of images, which has no columns")
        return _images(data)
    if is_conversations(data):
        return _conversations(data, columns, kind)
    if not is_table(data):
        forms = "a table (.csv, .tsv, .parquet, .smi, .sdf), or conversations (.jsonl)"
        raise UsageError(f"{data}: give a folder of class folders, {forms}")
    table = read_table(data)
    kind = kind or kind_of(table)
    assert kind in ("text", "molecules")
    found = learnable(table, kind, columns)
    return _table(data, kind, found)


def kind_of(table: Table) -> Kind:
    """Molecules or texts, by the names of the columns. Raises `TableError` where nobody can say."""
    if table.file.name.lower().endswith((".smi", ".sdf")):
        return "molecules"
    names = {name.lower() for name in table.columns}
    molecules = bool(names & set(INPUT_NAMES["molecules"]))
    texts = bool(names & set(INPUT_NAMES["text"]))
    if molecules == texts:
        listed = ", ".join(map(repr, list(table.columns)[:12]))
        raise TableError(f"{table.file}: are its rows texts or molecules? Say --text or --smiles with one of {listed}")
    return "molecules" if molecules else "text"


def _images(folder: Path) -> OwnData:
    from sparsebench.data.vision.vtab1k import own_images

    found = own_images(folder)
    parts = {"train": found.train800, "val": found.val200, "test": found.test}
    classes = found.names or tuple(map(str, range(found.classes)))
    return OwnData(
        kind="images",
        place=folder,
        counts={name: len(part) for name, part in parts.items()},
        goal="classification",
        classes=classes,
        columns=Columns("", ()),
        rejected=found.rejected,
        absent=_absent(classes, {name: set(part.labels) for name, part in parts.items()}),
        side=_median_side(found.train800.files),
    )


def _median_side(files: Sequence[Path]) -> int:
    """Of the longer sides of a hundred images."""
    from PIL import Image

    sides = []
    for file in files[:: max(1, len(files) // 100)]:
        with Image.open(file) as image:
            sides.append(max(image.size))
    return sorted(sides)[len(sides) // 2]


def _conversations(file: Path, columns: Columns, kind: Kind | None) -> OwnData:
    if kind is not None:
        raise UsageError(f"{file} holds conversations, which have no columns of texts or molecules; --split is all")
    found = learnable_conversations(file, columns.split)
    return OwnData(
        kind="conversations",
        place=file,
        counts={part: len(found.of(part)) for part in PARTS},
        goal="their answers",
        classes=(),
        columns=Columns("", (), found.split),
        rejected=found.rejected,
    )


def _table(file: Path, kind: Kind, table: OwnTable) -> OwnData:
    return OwnData(
        kind=kind,
        place=file,
        counts={part: len(table.rows(part)) for part in PARTS},
        goal=table.goal,
        classes=table.classes,
        columns=table.columns,
        rejected=table.rejected,
        conflicting=table.conflicting,
        absent=_absent(table.classes, {part: np.unique(table.values[table.rows(part)]) for part in PARTS}),
        table=table,
    )


def _absent(classes: Sequence[str], labels: Mapping[str, Container[int]]) -> dict[str, tuple[str, ...]]:
    """By part the classes without an example, of which there may be none at all: of numbers."""
    found = {}
    for part, own in labels.items():
        missing = tuple(name for number, name in enumerate(classes) if number not in own)
        if missing:
            found[part] = missing
    return found


@contextmanager
def as_source(own: OwnData, stage: Path) -> Iterator[None]:
    """The data as the source of its task, inside the block; of a table, a copy with its columns in `stage`/data."""
    place = own.place
    if own.kind != "images":
        place = stage / "data"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copyfile(own.place, place / own.place.name)
        (place / COLUMNS_FILE).write_text(columns_text(own.columns), encoding="utf-8")
    variable = source(own.task.source).environment
    before = os.environ.get(variable)
    os.environ[variable] = str(place.resolve())
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before
