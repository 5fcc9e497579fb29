"""Values of a profile, checked: YAML gives any kind of value, and a cell and its record can hold only some of them."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..errors import UsageError

MOST_SEEDS = 10_000
LARGEST = 2**63
"""Whole numbers are smaller than this, so that every reader of a record has room for them."""
DEEPEST = 20
MOST_VALUES = 100_000
"""In one profile, each alias counted wherever it stands: a small file can stand for billions of values."""
ALLOWED_CONTROLS = "\n\t"


def text(value: object, where: str) -> str:
    """The value, if it is a text. Raises `UsageError`."""
    if not isinstance(value, str):
        raise UsageError(f"{where}: must be a text, not {value!r}")
    return value


def line(value: object, where: str) -> str:
    """The value, if it is a text of one line, as rows of tables and terminals are. Raises `UsageError`."""
    found = text(value, where)
    if found != found.strip() or len(found.splitlines()) > 1:
        raise UsageError(f"{where}: must be one line without spaces around it, not {found!r}")
    return found


def texts(value: object, where: str) -> tuple[str, ...]:
    """The value, if it is a list of different texts. Raises `UsageError`."""
    found = tuple(text(item, where) for item in sequence(value, where))
    check_once(found, where)
    return found


def check_once(names: Sequence[str], where: str) -> None:
    """Refuse what stands twice: it would make each of its cells twice. Raises `UsageError`."""
    seen = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{where}: {name} stands twice: leave one out")
        seen.add(name)


def sequence(value: object, where: str) -> list[Any]:
    """The value, if it is a list. Raises `UsageError`."""
    if not isinstance(value, list):
        raise UsageError(f"{where}: must be a list, not {value!r}")
    return value


def mapping(value: object, where: str) -> dict[str, Any]:
    """The value, if it is a mapping. Raises `UsageError`."""
    if not isinstance(value, dict):
        raise UsageError(f"{where}: must be a mapping of keys to values, not {type(value).__name__}")
    return value


def seeds(value: object, where: str) -> int:
    """The value, if it is a number of seeds. Raises `UsageError`."""
    if type(value) is not int or not 1 <= value <= MOST_SEEDS:
        raise UsageError(f"{where} must be a whole number from 1 to {MOST_SEEDS}, not {value!r}")
    return value


def seconds(value: Any, where: str) -> float:
    """The value, if it is a time limit. Raises `UsageError`."""
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise UsageError(f"{where} must be a number of seconds above 0, not {value!r}")
    return value


def checkpoints(value: object, where: str) -> bool | Literal["keep"]:
    """The value, if it says what becomes of checkpoints. Raises `UsageError`."""
    if value == "keep":
        return "keep"
    if not isinstance(value, bool):
        raise UsageError(f"{where} must be true, false or keep, not {value!r}")
    return value


def check_plain(content: object, where: str) -> None:
    """Refuse what no record could hold: dates, bytes, NaN, keys that are no texts, texts that cannot be written.

    Raises:
        UsageError: the first such value, with its place; a structure that is too deep, too large or holds itself.
    """
    _Walk().check(content, where, 0)


class _Walk:
    def __init__(self) -> None:
        self._count = 0

    def check(self, value: Any, where: str, depth: int) -> None:
        self._count += 1
        if depth > DEEPEST or self._count > MOST_VALUES:
            raise UsageError(
                f"{where[:200]}: more than {DEEPEST} levels deep, or more than {MOST_VALUES} values in all"
            )
        if isinstance(value, Mapping):
            for key, inner in value.items():
                _check_text(text(key, f"{where}: a key"), where)
                self.check(inner, f"{where}, {key}", depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self.check(inner, where, depth + 1)
        else:
            _check_scalar(value, where)


def _check_scalar(value: object, where: str) -> None:
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"{where}: {value} is no finite number")
    elif isinstance(value, int):
        if abs(value) >= LARGEST:
            raise UsageError(f"{where}: a whole number must be smaller than 2^63")
    elif value is not None:
        raise UsageError(f"{where}: {value!r} is a {type(value).__name__}: put it into quotes to make it a text")


def _check_text(value: str, where: str) -> None:
    for character in value:
        # Cs: half of a pair, which no file can hold. Cc: a terminal would obey it, and no path may have a NUL.
        if unicodedata.category(character) in ("Cs", "Cc") and character not in ALLOWED_CONTROLS:
            raise UsageError(f"{where}: the text {value!a} holds {character!a}, which cannot be printed")
