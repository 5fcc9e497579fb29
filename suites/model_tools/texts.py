"""The text that a model is changed by, and the text that it is measured on: no document is in both.

Packaged: the halves of the seven text domains, which share no document. Of a file of one's own, a fifth of the
documents is held out by their hash, unless another file is named for that; a document of calibration that has a run of
13 words in common with a held-out one is left out (`data/text/decontamination`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsebench.data.errors import TextFileError, near_path
from sparsebench.data.text.decontamination.overlap import Overlap
from sparsebench.data.text.documents import origins, passages
from sparsebench.data.text.domains import DOMAINS
from sparsebench.data.text.halves import pieces
from sparsebench.data.text.streaming.files import ENDINGS, records
from sparsebench.data.text.windows import encode
from sparsebench.models.errors import ModelError

SEPARATOR = "\n\n"
PIECE = 4000
"""Characters of a document that is cut from a `.txt` file, about, at most."""
ENOUGH = 2
"""Held-out documents that an interval needs."""
HELD_OUT = 5
"""One document in so many of one's own text is held out."""
DOCUMENTS = 21
"""Held-out documents: three of each packaged domain."""
OWN = "own text"


@dataclass(frozen=True)
class HeldOut:
    """A document that nothing is decided on; `whole` names what it was cut from, in its `domain`."""

    domain: str
    whole: str
    text: str


@dataclass(frozen=True)
class Texts:
    """Documents of calibration by domain, held-out ones, and in words where they are from."""

    calibration: dict[str, list[str]]
    held_out: list[HeldOut]
    source: str

    def windows(self, tokenizer: Any, length: int, count: int, seed: int = 0) -> Tensor:
        """Windows of calibration text, domains in turn, documents of each in an order that the seed draws.

        Args:
            tokenizer: that of the model.
            length: tokens of a window.
            count: windows; there are fewer where there is less text.
            seed: draws the order.

        Returns:
            Token numbers (N, length).

        Raises:
            ModelError: less text than one window.
        """
        generator = torch.Generator().manual_seed(seed)
        by_domain: list[list[list[int]]] = []
        for place, documents in enumerate(self.calibration.values()):
            order = torch.randperm(len(documents), generator=generator).tolist()
            wanted = len(range(place, count, len(self.calibration)))
            by_domain.append(_cut(tokenizer, [documents[i] for i in order], length, wanted))
        rows = [row for turn in range(count) for rows in by_domain for row in rows[turn : turn + 1]]
        if not rows:
            raise ModelError(f"the calibration text has fewer than {length} tokens, one window: give more text")
        return torch.tensor(rows)


def read_texts(calibration: Path | None = None, held_out: Path | None = None, documents: int = DOCUMENTS) -> Texts:
    """The text to calibrate and train on, and the text to measure on.

    Args:
        calibration: a file of text; None: the calibration halves of the packaged domains.
        held_out: another one; None: a fifth of the documents of `calibration`, or the packaged test halves.
        documents: how many held-out documents there are at most.

    Returns:
        Both.

    Raises:
        TextFileError: a file that is not there, is empty or no text, or has too few documents to hold some out.
        ModelError: all documents of calibration have text in common with held-out ones.
        DataError: the packaged text cannot be had.
    """
    if calibration is None:
        measured, source = read_held_out(held_out, documents)
        packaged = {domain: passages(domain, "calibration") for domain in DOMAINS}
        return Texts(packaged, measured, source) if held_out is None else _apart(packaged, measured, source)
    own = own_documents(calibration)
    if held_out is not None:
        return _apart({OWN: own}, *read_held_out(held_out, documents))
    _check(documents)
    count = min(documents, len(own) // HELD_OUT)
    if count < ENOUGH:
        raise TextFileError(
            f"{calibration} has {len(own)} documents, of which a fifth, {ENOUGH} at least, would be held out: give "
            f"{ENOUGH * HELD_OUT} or more, or name another file for held-out text"
        )
    return _apart({OWN: own[count:]}, _own(calibration, own[:count]), str(calibration))


def read_held_out(file: Path | None = None, documents: int = DOCUMENTS) -> tuple[list[HeldOut], str]:
    """The text to measure on, where nothing else is asked of text.

    Args:
        file: a file of text; None: the packaged test halves.
        documents: how many there are at most.

    Returns:
        The documents, and in words where they are from.

    Raises:
        TextFileError: as `read_texts`.
        ModelError: fewer than two documents are asked for.
    """
    _check(documents)
    if file is None:
        return _packaged(documents), f"the packaged domains {', '.join(DOMAINS)}"
    own = own_documents(file)
    if len(own) < ENOUGH:
        raise TextFileError(f"{file} has one document, and an interval needs {ENOUGH}: give more held-out text")
    return _own(file, own[:documents]), str(file)


def _check(documents: int) -> None:
    if documents < ENOUGH:
        raise ModelError(f"documents={documents} must be {ENOUGH} or more: an interval needs two")


def own_documents(file: Path) -> list[str]:
    """The distinct documents of a file, in the order of their hash.

    They are lines of JSON or rows with a field "text", or pieces of a `.txt` file of about 4,000 characters, cut at
    blank lines: less alike than lines, and more than documents. A paragraph that is longer is cut at the ends of its
    lines, a line between its words.

    Args:
        file: its path.

    Raises:
        TextFileError: it is not there, has another ending, is empty or is no text.
    """
    if not file.is_file():
        raise TextFileError(f"there is no file {file}{near_path(file)}")
    if not file.name.endswith(ENDINGS):
        raise TextFileError(f"{file} has none of the endings {', '.join(ENDINGS)}")
    texts = [record.text for record in records(file, "text")]
    if file.name.endswith(".txt"):
        return pieces([_with_blank_lines("".join(texts))], PIECE) or _empty(file)
    found = {text.strip() for text in texts} - {""}
    return sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest()) or _empty(file)


def _empty(file: Path) -> list[str]:
    raise TextFileError(f"{file} has no text in it")


def _with_blank_lines(text: str) -> str:
    """The text with line ends of Unix, and blank lines where a paragraph is longer than a piece."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return SEPARATOR.join(part for paragraph in text.split(SEPARATOR) for part in _parts(paragraph))


def _parts(paragraph: str) -> list[str]:
    """A paragraph whole, or cut before the length of a piece: where a line ends, a word, or else anywhere."""
    parts = []
    while len(paragraph) > PIECE:
        cut = max(paragraph.rfind("\n", 0, PIECE), 0) or max(paragraph.rfind(" ", 0, PIECE), 0) or PIECE
        parts.append(paragraph[:cut])
        paragraph = paragraph[cut:]
    return [*parts, paragraph]


def _own(file: Path, texts: Sequence[str]) -> list[HeldOut]:
    return [HeldOut(file.name, str(number), text) for number, text in enumerate(texts)]


def _packaged(documents: int) -> list[HeldOut]:
    """The first piece of the first wholes of each test half: pieces of one book are more alike than books."""
    found: list[HeldOut] = []
    for place, domain in enumerate(DOMAINS):
        first: dict[int, str] = {}
        for whole, text in zip(origins(domain, "test"), passages(domain, "test"), strict=True):
            first.setdefault(whole, text)
        wanted = len(range(place, documents, len(DOMAINS)))
        found += [HeldOut(domain, str(whole), text) for whole, text in list(first.items())[:wanted]]
    return found


def _apart(calibration: dict[str, list[str]], held_out: list[HeldOut], source: str) -> Texts:
    """Without the documents of calibration that have text in common with held-out ones."""
    overlap = Overlap([one.text for one in held_out])
    left = {}
    for domain, documents in calibration.items():
        hits = overlap.found_in(documents)
        left[domain] = [text for text, hit in zip(documents, hits, strict=True) if not hit]
    if not any(left.values()):
        raise ModelError(
            f"all calibration text has runs of 13 words in common with the held-out text of {source}; "
            "give other text to measure on"
        )
    return Texts({domain: documents for domain, documents in left.items() if documents}, held_out, source)


def _cut(tokenizer: Any, documents: Sequence[str], length: int, count: int) -> list[list[int]]:
    """The first windows of the documents, joined by a blank line; as many as there are, at most `count`."""
    separator = encode(tokenizer, SEPARATOR)
    stream: list[int] = []
    for document in documents:
        if len(stream) >= length * count:
            break
        stream += separator if stream else []
        stream += encode(tokenizer, document)
    return [stream[start : start + length] for start in range(0, length * min(count, len(stream) // length), length)]
