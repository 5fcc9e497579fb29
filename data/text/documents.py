"""Documents of a domain in two halves that share none.

A document belongs to "calibration" or "test" by the hash of its group, and comes in the order of its own hash: no seed,
the same on every machine. The group is the document itself, except for code, where it is the programming
problem: its solutions in seventeen languages fall into the same half.
"""

import hashlib
from collections.abc import Iterator
from typing import Literal, get_args

from ..cache.ledger import cached_reads
from ..errors import UnknownSource
from ..manifest import near
from .domains import reader

Part = Literal["calibration", "test"]


def documents(domain: str, part: Part) -> list[str]:
    """Unique documents of one half of a domain, in a fixed order. Raises `UnknownSource` and what `ensure` raises."""
    if part not in get_args(Part):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Part))}")
    return list(_halves(domain)[part])


def passages(domain: str, part: Part, characters: int = 4000) -> list[str]:
    """Pieces of at most about ``characters`` of the half's documents, cut at blank lines, in the order of their hash.

    Where documents are books, the first few pieces are a broader sample than the first document.
    """
    pieces: set[str] = set()
    for document in documents(domain, part):
        pieces.update(_cut(document, characters))
    return sorted(pieces, key=lambda piece: hashlib.sha256(piece.encode()).digest())


@cached_reads()
def _halves(domain: str) -> dict[Part, tuple[str, ...]]:
    _, read = reader(domain)
    found: dict[str, tuple[Part, str]] = {}
    for group, text in read():
        text = text.strip()
        if text:
            # setdefault: a text that two groups share stays in the half that met it first
            found.setdefault(hashlib.sha256(text.encode()).hexdigest(), (_part_of(group), text))
    halves: dict[Part, list[str]] = {part: [] for part in get_args(Part)}
    for key in sorted(found):
        part, text = found[key]
        halves[part].append(text)
    return {part: tuple(texts) for part, texts in halves.items()}


def _part_of(group: str) -> Part:
    if hashlib.sha256(group.encode()).digest()[0] % 2:
        return "test"
    return "calibration"


def _cut(document: str, characters: int) -> Iterator[str]:
    piece = ""
    for paragraph in document.split("\n\n"):
        if piece and len(piece) + len(paragraph) > characters:
            yield piece.strip()
            piece = ""
        piece += f"{paragraph}\n\n"
    if piece.strip():
        yield piece.strip()
