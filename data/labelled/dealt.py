"""Training, validation and test part: those that the user names, or dealt out by class and content."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import TableError

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
FRACTION = 0.2
"""Of the rows of each class that go to the validation part, and as many to the test part."""
LEAST = 3
"""Rows of a class, one for each part."""
NAMES: dict[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class Rejected:
    """A row or file that is in no part: which one, for people, and why."""

    row: str
    reason: str


def part_named(name: str) -> Part | None:
    """The part that goes by this name, in any case."""
    return NAMES.get(name.strip().lower())


def is_split(values: Sequence[str]) -> bool:
    """Whether most values name parts, the training part among them: another one is a mistake, which `named_parts` says,
    and no sign that the parts are to be dealt out.
    """
    parts = [part_named(value) for value in values]
    return "train" in parts and parts.count(None) < len(parts) / 2


def named_parts(values: Sequence[str], where: str) -> list[Part]:
    """The parts by their names. Raises `TableError` for another name, or no training part."""
    found: list[Part] = []
    for row, value in enumerate(values):
        part = part_named(value)
        if part is None:
            raise TableError(f"{where}, row {row + 1}: {value!r} is no part; write train, val or test")
        found.append(part)
    if "train" not in found:
        raise TableError(f"{where} names no row of the training part")
    return found


def deal(labels: Sequence[Hashable], keys: Sequence[str], where: str) -> list[Part]:
    """Parts stratified by class: of each class in the order of a hash of the content.

    Args:
        labels: the class of each row.
        keys: what identifies the content of each row; equal rows must have been taken out.
        where: what a message begins with.

    Returns:
        The part of each row.

    Raises:
        TableError: a class with fewer than three rows.
    """
    found: list[Part] = ["train"] * len(labels)
    for label, rows in _by_class(labels, keys).items():
        if len(rows) < LEAST:
            raise TableError(f"{where}: class {label!r} has {len(rows)} of the {LEAST} examples that it needs at least")
        count = max(1, round(FRACTION * len(rows)))
        for row in rows[:count]:
            found[row] = "test"
        for row in rows[count : 2 * count]:
            found[row] = "val"
    return found


def complete(parts: Sequence[Part], labels: Sequence[Hashable], keys: Sequence[str], where: str) -> list[Part]:
    """Parts of the user's, and of those that are missing, a fifth of each class of the training part.

    Args:
        parts: as the user named them.
        labels: the class of each row.
        keys: what identifies the content of each row.
        where: what a message begins with.

    Returns:
        Parts, all three of which have rows.

    Raises:
        TableError: a class of the training part with too few rows to give some.
    """
    found = list(parts)
    for missing in ("val", "test"):
        if missing in found:
            continue
        inside = [row for row, part in enumerate(found) if part == "train"]
        for label, places in _by_class([labels[row] for row in inside], [keys[row] for row in inside]).items():
            if len(places) < 2:
                raise TableError(f"{where}: class {label!r} has too few training examples to give one to {missing}")
            for place in places[: max(1, round(FRACTION * len(places)))]:
                found[inside[place]] = missing
    return found


def _by_class(labels: Sequence[Hashable], keys: Sequence[str]) -> dict[Hashable, list[int]]:
    """Rows of each class in the order of the hash."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        found[label].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: hashlib.sha256(keys[row].encode(errors="surrogatepass")).digest())
    return found
