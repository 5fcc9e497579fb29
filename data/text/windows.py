"""Token streams cut to windows, and the bytes that tokens stand for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol


class Tokenizer(Protocol):
    """What we ask of a fast tokenizer of transformers."""

    def __call__(self, text: str, /, *, add_special_tokens: bool, verbose: bool) -> Mapping[str, Any]:
        """`input_ids` of a text."""
        ...

    def __len__(self) -> int:
        """Tokens of the vocabulary."""
        ...

    def convert_ids_to_tokens(self, ids: list[int], /) -> Sequence[str]:
        """The tokens as the vocabulary writes them."""
        ...


def windows(
    token_ids: Iterable[Sequence[int]], length: int, count: int, separator: Sequence[int] = ()
) -> list[list[int]]:
    """Join tokenised documents by ``separator`` (the tokens of a blank line) and cut the first ``count`` windows.

    Each window has exactly ``length`` tokens. Stops reading ``token_ids`` as soon as it has enough. Raises `ValueError`
    when the documents are too short.
    """
    return numbered_windows(enumerate(token_ids), length, count, separator)[0]


def numbered_windows(
    token_ids: Iterable[tuple[int, Sequence[int]]], length: int, count: int, separator: Sequence[int] = ()
) -> tuple[list[list[int]], list[int]]:
    """As `windows`, from documents with a number each, and the number of the document that each window is of.

    Windows of one document are no independent examples. Where a window holds several, it counts to the one that most
    of its tokens are of, of equals to the first; so neighbours that share a document but count to others are taken as
    independent.
    """
    stream: list[int] = []
    owners: list[int] = []
    for number, document in token_ids:
        if stream:
            stream += separator
        stream += document
        owners += [number] * (len(stream) - len(owners))
        if len(stream) >= length * count:
            starts = range(0, length * count, length)
            chosen = [Counter(owners[start : start + length]).most_common(1)[0][0] for start in starts]
            return [stream[start : start + length] for start in starts], chosen
    raise ValueError(f"{len(stream)} tokens are too few for {count} windows of {length}; give more documents")


def token_bytes(tokenizer: Tokenizer, ids: Sequence[int]) -> int:
    """Number of UTF-8 bytes that ``ids`` stand for, exactly, also where a window cuts through a character.

    What bits per byte divides by: pass the tokens that were predicted (without the window's first). For
    byte-level BPE tokenizers only, whose tokens are written with one character per byte.
    """
    return sum(len(token) for token in tokenizer.convert_ids_to_tokens(list(ids)))
