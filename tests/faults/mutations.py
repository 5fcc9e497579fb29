"""Random changes of files: of their bytes, and of the values of what they hold."""

import copy
import random
from collections.abc import Iterator, MutableMapping, MutableSequence
from typing import Any

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    2**31,
    2**63,
    10**30,
    0.5,
    -0.0,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "3",
    "true",
    "[/red] [bold]",
    "half \ud800",
    "null \0",
    "\x1b[2J",
    "x" * 3000,
    "../../../etc/passwd",
    "dense",
    "synthetic",
    [],
    [[]],
    [None],
    ["x", 3],
    {},
    {"x": 1},
    {"": None},
    {"name": "x", "config": {"x": [1, {"y": None}]}},
)
"""What may stand anywhere instead of what belongs there."""


INSERTED = b"0123456789abcxyzABC .,:;-+#\"'[]{}()/\\\n\0\xff"


def change_value(content: Any, chance: random.Random) -> Any:
    """A copy with one to three changes: a value replaced, left out, doubled, moved, or a key renamed."""
    content = copy.deepcopy(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(content))
        if not places:
            return chance.choice(VALUES)
        _change(*chance.choice(places), places, chance)
    return content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys or indices."""
    if isinstance(content, MutableMapping):
        for key, value in content.items():
            yield content, key
            yield from _places(value)
    elif isinstance(content, MutableSequence):
        for index, value in enumerate(content):
            yield content, index
            yield from _places(value)


def _change(place: Any, key: Any, places: list[tuple[Any, Any]], chance: random.Random) -> None:
    kind = chance.choice(("value", "value", "value", "scale", "out", "double", "move", "rename"))
    if kind == "value":
        place[key] = copy.deepcopy(chance.choice(VALUES))
    elif kind == "scale" and type(place[key]) in (int, float):
        place[key] = place[key] * chance.choice((-1, 0, 2, 1e30, 1e200))
    elif kind == "out":
        del place[key]
    elif kind == "move":
        other, name = chance.choice(places)
        if name in other or (isinstance(name, int) and isinstance(other, list) and name < len(other)):
            place[key] = copy.deepcopy(other[name])
    elif kind == "double" and isinstance(place, list):
        place.insert(key, copy.deepcopy(place[key]))
    elif kind == "rename" and isinstance(place, dict):
        place[chance.choice(("x", "", f"{key}s", str(key)[:-1]))] = place.pop(key)


def change_bytes(content: bytes, chance: random.Random, reach: int | None = None) -> bytes:
    """The content with one to three changes among its first `reach` bytes: bits, bytes, numbers, parts, its end."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3))):
        end = min(len(changed), reach or len(changed))
        at = chance.randrange(max(1, end))
        kind = chance.choice(("bit", "byte", "byte", "number", "cut", "out", "double", "insert"))
        if not changed:
            break
        if kind == "bit":
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == "byte":
            changed[at] = chance.choice((*b' :[-"09aZ', 0, 0xFF, chance.randrange(256)))
        elif kind == "number":
            changed[at : at + 8] = chance.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)).to_bytes(8, "little")
        elif kind == "cut":
            del changed[at:]
        elif kind == "out":
            del changed[at : at + chance.randrange(1, 64)]
        elif kind == "double":
            changed[at:at] = changed[at : at + chance.randrange(1, 64)]
        else:
            changed[at:at] = bytes(chance.choice(INSERTED) for _ in range(chance.randrange(1, 16)))
    return bytes(changed)
