"""Documents of a domain's halves, and the passages of them that tasks read and train on."""

from typing import Literal, get_args

from ..errors import UnknownSource
from ..manifest import near
from .halves import Half, halves, pieces
from .training_parts import training_pieces

Part = Literal["calibration", "test", "train", "val"]


def documents(domain: str, part: Half) -> list[str]:
    """Unique documents of one half of a domain, in a fixed order. Raises `UnknownSource` and what `ensure` raises."""
    if part not in get_args(Half):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Half))}")
    return [document.text for document in halves(domain)[part]]


def passages(domain: str, part: Part, characters: int = 4000) -> list[str]:
    """Pieces of at most about ``characters`` of the part's documents, cut at blank lines, in the order of their hash.

    Where documents are books, the first few pieces are a broader sample than the first document. "train" and "val" are
    parts of "calibration" without what language tasks score (`training_parts`). Raises as `documents` and
    `training_pieces`.
    """
    if part == "train" or part == "val":
        return list(training_pieces(domain, part, characters))
    if part not in get_args(Half):
        raise UnknownSource(f"unknown part {part!r}{near(part, get_args(Part))}")
    return pieces(documents(domain, part), characters)


def origins(domain: str, part: Half, characters: int = 4000) -> list[int]:
    """Of each of `passages` of a half the number of the document that it is a piece of. Raises as `documents`.

    Pieces of one book are more alike than those of two.
    """
    owner: dict[str, int] = {}
    for number, document in enumerate(documents(domain, part)):
        for piece in pieces([document], characters):
            owner.setdefault(piece, number)
    return [owner[piece] for piece in passages(domain, part, characters)]
