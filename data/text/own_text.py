"""A folder of the user's own text in the parts "train", "val" and "test": its folders are the domains.

A record is a line, a row, or about 64 kB of a `.txt` file (`streaming.files`). The hash of its text decides the part,
one record in ten in "val" and one in "test": equal records are in one part, and new files move no old record.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from ..cache.ledger import cached_reads
from ..errors import TextFileError, UnknownSource
from ..identity import identity
from ..local_folders import note_unpinned
from ..manifest import near
from ..sources import ensure
from .streaming.files import domain_files, records

SOURCE = "own-text"
Part = Literal["train", "val", "test"]
FIELD = "text"
"""The field of a line or row."""
MOST_CHARACTERS = 1 << 24
"""Characters of a part of a domain that are read. Two million tokens of English are ten million characters."""


def own_files() -> dict[str, tuple[Path, ...]]:
    """The files of each domain of the user's own text.

    Raises:
        LocalFolderError: there is no such folder.
        TextFileError: one that is not as it should be.
    """
    return domain_files(ensure(SOURCE))


def own_documents(domain: str, part: Part) -> tuple[str, ...]:
    """The first records of a part of a domain of the user's own text, up to `MOST_CHARACTERS`.

    Those of "train" are in the order of the files. "val" and "test" are in that of their hash: a task scores their
    first windows, which would all be of the first file.

    Args:
        domain: the name of its folder.
        part: which part.

    Returns:
        The texts.

    Raises:
        LocalFolderError: there is no such folder.
        TextFileError: a folder that is not as it should be, or a part without text.
        UnknownSource: an unknown domain or part.
    """
    if part not in get_args(Part):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Part))}")
    files = own_files()
    if domain not in files:
        raise UnknownSource(f"no domain {domain!r} in your text{near(domain, files)}")
    return _read(identity(SOURCE), domain, part)


def part_of(text: str) -> Part:
    """By one byte of the hash."""
    draw = _digest(text)[0] % 10
    if draw == 0:
        return "val"
    if draw == 1:
        return "test"
    return "train"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@cached_reads(maxsize=64)
def _read(content: str, domain: str, part: Part) -> tuple[str, ...]:
    """`content` is that of the folder: when it changes, what was read before is not given again."""
    found: list[str] = []
    characters = 0
    for text in _records(ensure(SOURCE), own_files()[domain]):
        if part_of(text) == part:
            found.append(text)
            characters += len(text)
        if characters >= MOST_CHARACTERS:
            break
    if not found:
        raise TextFileError(
            f"domain {domain!r} has no text in its part {part!r}: one record in ten is in val and one in test, and a "
            ".txt file is one record for each 64 kB; add text, or write many documents as lines of a .jsonl file"
        )
    if part != "train":
        found.sort(key=_digest)
    return tuple(found)


def _records(root: Path, files: tuple[Path, ...]) -> Iterator[str]:
    """The texts of all records that are not blank; a file counts as read from its first one on."""
    for file in files:
        note_unpinned(SOURCE, root, file)
        for record in records(file, FIELD, 0):
            if record.text.strip():
                yield record.text
