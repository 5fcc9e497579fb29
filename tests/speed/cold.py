"""Weights that no cache holds: copies of a layer are used in turn, as a model goes through its layers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

MEMORY = 1 << 30
"""Bytes that all copies of a group may have, unless one of each has more."""
UNKNOWN = 32 << 20
"""Bytes of the last cache where the system does not say how large it is."""
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Copies:
    """How many there are of each layer of a group, and what that comes to."""

    count: int
    between: int
    """Bytes of weights that all variants read together before one of them reads the same ones again."""
    cache: int
    """Bytes of the last cache."""

    @property
    def facts(self) -> dict[str, object]:
        """For the JSON: whether the weights were cold indeed."""
        return {"bytes_between": self.between, "cache_bytes": self.cache, "beyond_cache": self.between > self.cache}


def copies(size: int, variants: int, cache: int | None = None) -> Copies:
    """As many copies of a layer as it takes to fill the last cache with all of a group, within `MEMORY`.

    Args:
        size: bytes of one copy, all of which are read before its first ones come again.
        variants: of the group, each with copies of its own.
        cache: bytes of the last cache; None asks the system.
    """
    if cache is None:
        cache = last_cache()
    group = size * variants
    count = max(1, min(cache // group + 1, MEMORY // group))
    return Copies(count, count * group, cache)


def last_cache(folder: Path = CACHES) -> int:
    """Bytes of the processor's largest cache, which several cores may share."""
    found = [UNKNOWN]
    for file in folder.glob("index*/size"):
        text = file.read_text(encoding="utf-8").strip()
        found.append(int(text[:-1]) * UNITS[text[-1]])
    return max(found[1:], default=UNKNOWN)


def through(calls: Sequence[Callable[[], object]]) -> Callable[[], None]:
    """All of them, one after the other."""

    def call() -> None:
        for one in calls:
            one()

    return call
