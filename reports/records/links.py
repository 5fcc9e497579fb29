"""Names in the details and curves of a chain: the number of the link stands before what it noted, "2. mixing cv2"."""

from collections.abc import Mapping
from typing import TypeVar

Noted = TypeVar("Noted")


def split(name: str) -> tuple[int, str]:
    """The number of the link, 1 where there is one alone, and the name without it."""
    link, _, rest = name.partition(". ")
    return (int(link), rest) if link.isdecimal() else (1, name)


def by_link(noted: Mapping[str, Noted], name: str) -> dict[int, Noted]:
    """What the links of a chain noted under a name, by their numbers in order.

    Args:
        noted: `Record.details` or `Record.curves`.
        name: of the entry or the curve.

    Returns:
        The entries; of a row that is no chain one, with number 1.
    """
    found = {}
    for full, value in noted.items():
        link, rest = split(full)
        if rest == name:
            found[link] = value
    return dict(sorted(found.items()))
