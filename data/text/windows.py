"""Token streams cut to windows, and the bytes that tokens stand for."""

from collections.abc import Iterable, Sequence
from typing import Any


def windows(
    token_ids: Iterable[Sequence[int]], length: int, count: int, separator: Sequence[int] = ()
) -> list[list[int]]:
    """Join tokenised documents by ``separator`` (the tokens of a blank line) and cut the first ``count`` windows.

    Each window has exactly ``length`` tokens. Stops reading ``token_ids`` as soon as it has enough. Raises `ValueError`
    when the documents are too short.
    """
    stream: list[int] = []
    for document in token_ids:
        if stream:
            stream += separator
        stream += document
        if len(stream) >= length * count:
            return [stream[start : start + length] for start in range(0, length * count, length)]
    raise ValueError(f"{len(stream)} tokens are too few for {count} windows of {length}; give more documents")


def token_bytes(tokenizer: Any, ids: Sequence[int]) -> int:
    """Number of UTF-8 bytes that ``ids`` stand for, exactly, also where a window cuts through a character.

    What bits per byte divides by: pass the tokens that were predicted (without the window's first). For
    byte-level BPE tokenizers only, whose tokens are written with one character per byte.
    """
    return sum(len(token) for token in tokenizer.convert_ids_to_tokens(list(ids)))
