"""The user's own conversations in their three parts.

The folder that `SPARSEBENCH_OWN_CONVERSATIONS` names holds one file of lines (`conversation_forms.py`) that ends in
`.jsonl` or `.jsonl.gz`, and, where the field that says the part has another name than `split`, `columns.json`:
{"input": "", "targets": [], "split": "fold"}. `sparsebench fit` makes such a folder.

An answer is a turn of the assistant after one of the user; what comes before it is context. Conversations that begin
alike, up to the first answer, are in one part: what is tested was not trained on, with another answer neither.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cache.ledger import cached_reads
from ..errors import TableError, reason_of
from ..identity import identity
from ..labelled.dealt import PARTS, Part, Rejected, complete, deal, is_split, part_named
from ..labelled.table import normal_form
from ..local_folders import note_unpinned
from ..sources import ensure
from .columns import SPLIT_NAMES
from .conversation_forms import Turns, read_line
from .table_folder import COLUMNS_FILE, read_columns

SOURCE = "own-conversations"
SUFFIXES = (".jsonl", ".jsonl.gz")
LEAST = 2
"""Conversations of a part: of one alone nobody knows the spread."""
MARK = b"\xef\xbb\xbf"
"""Some editors begin a UTF-8 file with it."""


@dataclass(frozen=True)
class OwnConversation:
    """The turns of a line of the user's file, from 1."""

    line: int
    turns: Turns

    @cached_property
    def answers(self) -> tuple[int, ...]:
        """Places of the turns that are answers."""
        roles = [role for role, _ in self.turns]
        first = roles.index("user") if "user" in roles else len(roles)
        return tuple(place for place in range(first, len(roles)) if roles[place] == "assistant")

    @cached_property
    def answer_bytes(self) -> int:
        """UTF-8 bytes of the texts of all answers."""
        return sum(len(self.turns[place][1].encode()) for place in self.answers)


@dataclass(frozen=True)
class Line:
    """A line that says something: the conversation and its field of the part, or why it is no conversation."""

    number: int
    conversation: OwnConversation | None
    fields: Any
    reason: str = ""


@dataclass(frozen=True, eq=False)
class OwnConversations:
    """Conversations with an answer, the part of each; lines that are in no part, and why; the field of the part."""

    conversations: tuple[OwnConversation, ...]
    parts: tuple[Part, ...]
    rejected: tuple[Rejected, ...]
    split: str

    def of(self, part: Part) -> list[OwnConversation]:
        """Those of a part, in the order of the file."""
        return [one for one, own in zip(self.conversations, self.parts, strict=True) if own == part]


def is_conversations(file: Path) -> bool:
    """Whether the name ends as that of a file of conversations does."""
    return file.name.lower().endswith(SUFFIXES)


def lines_of(file: Path) -> Iterator[Line]:
    """The lines of a file that are not blank, in order.

    Args:
        file: ends in one of `SUFFIXES`.

    Yields:
        Lines, those that are no conversation too.

    Raises:
        TableError: the file cannot be read.
    """
    try:
        with gzip.open(file, "rb") if file.name.lower().endswith(".gz") else file.open("rb") as stream:
            for number, content in enumerate(stream, start=1):
                content = content.removeprefix(MARK) if number == 1 else content
                if content.strip():
                    yield _line(number, content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise TableError(f"{file} cannot be read: {reason}") from None


def _line(number: int, content: bytes) -> Line:
    try:
        turns, fields = read_line(content)
    except ValueError as error:
        return Line(number, None, {}, str(error))
    return Line(number, OwnConversation(number, turns), fields)


def own_conversations(folder: Path | None = None) -> OwnConversations:
    """What the user's folder holds; read once for each content.

    Args:
        folder: the folder; None is the one that the environment variable of the source names.

    Returns:
        The conversations.

    Raises:
        LocalFolderError: there is no such folder.
        TableError: one that cannot be learnt from.
    """
    place = ensure(SOURCE, folder)
    return _read(place, identity(SOURCE) if folder is None else "")


@cached_reads(maxsize=4)
def _read(place: Path, content: str) -> OwnConversations:
    """`content` is that of the folder: when it changes, what was read before is not given again."""
    files = [file for file in sorted(place.iterdir()) if is_conversations(file) and not file.name.startswith(".")]
    if len(files) != 1:
        raise TableError(f"{place} has {len(files)} files of conversations (.jsonl, .jsonl.gz), and one is expected")
    split = ""
    described = place / COLUMNS_FILE
    if described.is_file():
        note_unpinned(SOURCE, place, described)
        split = read_columns(described).split
    note_unpinned(SOURCE, place, files[0])
    return learnable_conversations(files[0], split)


def learnable_conversations(file: Path, split: str = "") -> OwnConversations:
    """The conversations of a file that can be learnt from, in their parts; every other one is in `rejected`.

    Args:
        file: ends in one of `SUFFIXES`.
        split: the field that says the part; where none is named, `split`, `part` or `subset` if it names parts on
            most lines: a line without one is then refused.

    Returns:
        The conversations, two at least in each part.

    Raises:
        TableError: a line that is no conversation, with its number; parts that cannot be learnt from.
    """
    lines = list(lines_of(file))
    for line in lines:
        if line.conversation is None:
            raise TableError(f"{file}, line {line.number}: {line.reason}")
    if not lines:
        raise TableError(f"{file} has no line")
    split = split or _split(lines)
    named = _named(lines, split, file) if split else None
    found = [line.conversation for line in lines if line.conversation is not None]
    bad = {place: "it has no answer" for place, one in enumerate(found) if not one.answers}
    bad |= _repeated(found, named, bad)
    if named is not None:
        bad |= _in_a_later_part(found, named, bad)
    kept = [place for place in range(len(found)) if place not in bad]
    if not kept:
        raise TableError(f"{file}: none of its {len(found)} conversations can be used; of the first: {bad[0]}")
    usable = [found[place] for place in kept]
    parts = _dealt(usable, None if named is None else [named[place] for place in kept], str(file))
    for part in PARTS:
        if parts.count(part) < LEAST:
            there = parts.count(part)
            raise TableError(f"{file}: its part {part} has {there} conversations, and {LEAST} are needed")
    rejected = tuple(Rejected(f"line {found[place].line}", bad[place]) for place in sorted(bad))
    return OwnConversations(tuple(usable), tuple(parts), rejected, split)


def _split(lines: Sequence[Line]) -> str:
    """A field that is called so and names parts on most lines, the training part among them."""
    for name in SPLIT_NAMES:
        values = [line.fields.get(name) for line in lines]
        if is_split([value if isinstance(value, str) else "" for value in values]):
            return name
    return ""


def _part(line: Line, name: str) -> Part | None:
    value = line.fields.get(name)
    return part_named(value) if isinstance(value, str) else None


def _named(lines: Sequence[Line], split: str, file: Path) -> list[Part]:
    found: list[Part] = []
    for line in lines:
        part = _part(line, split)
        if part is None:
            shown = repr(line.fields.get(split))[:40]
            raise TableError(f"{file}, line {line.number}: {split!r} is {shown}; write train, val or test")
        found.append(part)
    if "train" not in found:
        raise TableError(f"{file}: {split!r} names no conversation of the training part")
    return found


def _whole(one: OwnConversation) -> str:
    """Equal for conversations that differ in case and white space only."""
    return _key(one.turns)


def _beginning(one: OwnConversation) -> str:
    """Equal for conversations that begin alike, up to the first answer."""
    return _key(one.turns[: one.answers[0]])


def _key(turns: Turns) -> str:
    return "\n".join(f"{role}: {normal_form(content)}" for role, content in turns)


def _repeated(found: Sequence[OwnConversation], named: Sequence[Part] | None, known: dict[int, str]) -> dict[int, str]:
    """Conversations that stand twice: the first of test, val and train stays."""
    same: dict[str, list[int]] = {}
    for place, one in enumerate(found):
        if place not in known:
            same.setdefault(_whole(one), []).append(place)
    repeated = {}
    for places in same.values():
        if named is not None:
            places = sorted(places, key=lambda place: -PARTS.index(named[place]))
        repeated |= dict.fromkeys(places[1:], f"the same conversation as line {found[places[0]].line}")
    return repeated


def _in_a_later_part(found: Sequence[OwnConversation], named: Sequence[Part], known: dict[int, str]) -> dict[int, str]:
    """Conversations that begin as one of a later part does."""
    rows = [place for place in range(len(found)) if place not in known]
    last = {_beginning(found[place]): place for place in sorted(rows, key=lambda place: PARTS.index(named[place]))}
    bad = {}
    for place in rows:
        other = last[_beginning(found[place])]
        if named[other] != named[place]:
            bad[place] = f"it begins as line {found[other].line} does, which is in {named[other]}"
    return bad


def _dealt(found: Sequence[OwnConversation], named: Sequence[Part] | None, where: str) -> list[Part]:
    """The part of each; those that begin alike go together. Parts of the user's stay, missing ones come from train."""
    parts = dict(zip(map(_beginning, found), named or [None] * len(found), strict=True))
    keys = list(parts)
    labels = ["conversations"] * len(keys)
    if named is None:
        if len(keys) < len(PARTS):
            have = f"its {len(found)} conversations have {len(keys)} of the {len(PARTS)} different beginnings"
            raise TableError(f"{where}: {have}, up to the first answer, that the parts need")
        given = deal(labels, keys, where)
    else:
        given = complete([part for part in parts.values() if part is not None], labels, keys, where)
    by_key = dict(zip(keys, given, strict=True))
    return [by_key[_beginning(one)] for one in found]
