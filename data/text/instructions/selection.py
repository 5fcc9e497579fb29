"""Which of a set's records are trained on: no prompt twice, none that is scored anywhere, and not too many."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from .exchange import Exchange, draw_of, place_of

MOST = 2000
"""Exchanges of one set: a giant is cut to a random sample."""
LONGEST = 4000
"""Characters of prompt and answer together; longer ones would fill a window of training each."""

KEPT = "kept"
Census = dict[str, dict[str, int]]
"""By set: how many records were kept, and how many were not, by the reason."""


def select(
    sets: Iterable[tuple[str, Iterable[Exchange | str]]], is_scored: Callable[[Sequence[str]], Sequence[bool]]
) -> tuple[list[Exchange], Census]:
    """The exchanges of a group in their fixed order, random by a hash of the prompt, and what became of all records.

    Args:
        sets: name of each set, and its exchanges or reasons against them.
        is_scored: for each text, whether it has words in common with what may not be trained on.
    """
    census: dict[str, Counter[str]] = {}
    first: dict[bytes, Exchange] = {}
    contradicted: set[bytes] = set()
    for name, records in sets:
        counts = census.setdefault(name, Counter())
        for record in records:
            reason = _against(record, first, contradicted)
            if reason:
                counts[reason] += 1
    by_set: dict[str, list[bytes]] = {name: [] for name in census}
    for digest in sorted(first, key=draw_of):
        if digest in contradicted:
            census[first[digest].name]["several answers to one prompt"] += 1
        else:
            by_set[first[digest].name].append(digest)
    kept: list[bytes] = []
    for name, digests in by_set.items():
        census[name][f"beyond {MOST} of the set"] += max(0, len(digests) - MOST)
        kept += _not_scored(digests[:MOST], first, is_scored, census[name])
    exchanges = [first[digest] for digest in sorted(kept, key=place_of)]
    return exchanges, {name: dict(+counts) for name, counts in census.items()}


def _against(record: Exchange | str, first: dict[bytes, Exchange], contradicted: set[bytes]) -> str:
    """Why a record is not taken; "" where it is the first of its prompt, which is then noted."""
    if isinstance(record, str):
        return record
    if len(record.prompt) + len(record.answer) > LONGEST:
        return f"longer than {LONGEST} characters"
    digest = record.digest
    if digest not in first:
        first[digest] = record
        return ""
    if first[digest].answer != record.answer:
        contradicted.add(digest)
    return "the same prompt as before"


def _not_scored(
    digests: Sequence[bytes],
    first: dict[bytes, Exchange],
    is_scored: Callable[[Sequence[str]], Sequence[bool]],
    counts: Counter[str],
) -> list[bytes]:
    texts = [f"{first[digest].prompt}\n{first[digest].answer}" for digest in digests]
    kept = [digest for digest, scored in zip(digests, is_scored(texts), strict=True) if not scored]
    counts["in an evaluation set"] += len(digests) - len(kept)
    counts[KEPT] += len(kept)
    return kept
