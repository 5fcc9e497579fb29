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


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token numbers of a text, no special tokens added.

    Args:
        tokenizer: a fast one.
        text: of any length.

    Returns:
        The numbers.
    """
    # verbose: a document may be longer than what a model reads at once; it is cut to windows afterwards.
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def windows(
    token_ids: Iterable[Sequence[int]], length: int, count: int, separator: Sequence[int] = ()
) -> list[list[int]]:
    """Join tokenised documents and cut the first windows of them.

    Args:
        token_ids: tokens of each document; reading stops as soon as there are enough.
        length: tokens of a window, exactly.
        count: windows.
        separator: tokens between two documents (those of a blank line).

    Returns:
        The windows.

    Raises:
        ValueError: the documents are too short.
    """
    return numbered_windows(enumerate(token_ids), length, count, separator)[0]


def numbered_windows(
    token_ids: Iterable[tuple[int, Sequence[int]]], length: int, count: int, separator: Sequence[int] = ()
) -> tuple[list[list[int]], list[int]]:
    """As `windows`, with the document that each window is of.

    Windows of one document are no independent examples. Where a window holds several, it counts to the one that most of
    its tokens are of, of equals to the first; so neighbours that have a document in common but count to others are
    taken as independent.

    Args:
        token_ids: number and tokens of each document.
        length: tokens of a window, exactly.
        count: windows.
        separator: tokens between two documents.

    Returns:
        The windows, and the number of the document of each.

    Raises:
        ValueError: the documents are too short.
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
    """Number of UTF-8 bytes that tokens stand for, exactly, also where a window cuts through a character.

    What bits per byte divides by: pass the tokens that were predicted (without the window's first).

    Args:
        tokenizer: a byte-level BPE tokenizer, whose tokens are written with one character per byte.
        ids: the tokens.

    Returns:
        The bytes.
    """
    return sum(len(token) for token in tokenizer.convert_ids_to_tokens(list(ids)))
