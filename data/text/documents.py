"""Documents of a domain's halves, and the passages of them that tasks read and train on."""

from typing import Literal, get_args

from ..errors import UnknownSource
from ..manifest import near
from .halves import Half, halves, pieces
from .training_parts import training_pieces

Part = Literal["calibration", "test", "train", "val"]


def documents(domain: str, part: Half) -> list[str]:
    """Unique documents of one half of a domain, in a fixed order.

    Args:
        domain: its name.
        part: "calibration" or "test".

    Returns:
        The texts.

    Raises:
        UnknownSource: an unknown domain or part.
        DataError: what `ensure` raises.
    """
    if part not in get_args(Half):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Half))}")
    return [document.text for document in halves(domain)[part]]


def passages(domain: str, part: Part, characters: int = 4000) -> list[str]:
    """Pieces of the documents of a part, cut at blank lines, in the order of their hash.

    Where documents are books, the first few pieces are a broader sample than the first document.

    Args:
        domain: its name.
        part: a half, or "train" or "val": parts of "calibration" without what language tasks score (`training_parts`).
        characters: of a piece, about, at most.

    Returns:
        The pieces.

    Raises:
        UnknownSource: an unknown domain or part.
        DataError: an empty part, or what `ensure` raises.
    """
    if part == "train" or part == "val":
        return list(training_pieces(domain, part, characters))
    if part not in get_args(Half):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Part))}")
    return pieces(documents(domain, part), characters)


def origins(domain: str, part: Half, characters: int = 4000) -> list[int]:
    """The number of the document that each of the `passages` of a half is a piece of.

    Pieces of one book are more alike than those of two.

    Args:
        domain: its name.
        part: a half.
        characters: as in `passages`.

    Returns:
        A number for each piece.

    Raises:
        UnknownSource: as `documents`.
    """
    owner: dict[str, int] = {}
    for number, document in enumerate(documents(domain, part)):
        for piece in pieces([document], characters):
            owner.setdefault(piece, number)
    return [owner[piece] for piece in passages(domain, part, characters)]
