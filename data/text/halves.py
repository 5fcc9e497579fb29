"""The two halves of a text domain that share no document: what may be learned from, and what is scored.

A document belongs to "calibration" or "test" by the hash of its group, and comes in the order of its own hash: no seed,
the same on every machine. The group is the document itself, except for code, where it is the programming
problem: its solutions in seventeen languages fall into the same half.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, get_args

from ..cache.ledger import cached_reads
from .domains import reader

Half = Literal["calibration", "test"]


class Document(NamedTuple):
    """A text, and the group that it stays together with."""

    group: str
    text: str


@cached_reads()
def halves(domain: str) -> dict[Half, tuple[Document, ...]]:
    """The unique documents of both halves of a domain, in a fixed order.

    Args:
        domain: its name.

    Raises:
        UnknownSource: no such domain.
        DataError: what `ensure` raises.
    """
    _, read = reader(domain)
    found: dict[str, Document] = {}
    for group, text in read():
        text = text.strip()
        if text:
            # setdefault: a text that two groups share stays in the half that met it first
            found.setdefault(hashlib.sha256(text.encode()).hexdigest(), Document(group, text))
    parts: dict[Half, list[Document]] = {part: [] for part in get_args(Half)}
    for key in sorted(found):
        parts[_half_of(found[key].group)].append(found[key])
    return {part: tuple(documents) for part, documents in parts.items()}


def pieces(documents: Iterable[str], characters: int) -> list[str]:
    """Distinct pieces of documents, cut at blank lines, in the order of their hash.

    Args:
        documents: whole texts.
        characters: of a piece, about, at most.

    Returns:
        The pieces.
    """
    found: set[str] = set()
    for document in documents:
        found.update(_cut(document, characters))
    return sorted(found, key=lambda piece: hashlib.sha256(piece.encode()).digest())


def _half_of(group: str) -> Half:
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
