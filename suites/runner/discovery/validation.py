"""Values that a user gave, made into a dataclass with checks."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import UsageError, near
from .own_frames import own_place

Built = TypeVar("Built")

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def build(kind: type[Built], values: Mapping[str, Any], where: str) -> Built:
    """An instance of a dataclass from plain values.

    Args:
        kind: the dataclass.
        values: by field.
        where: begins the message of an error.

    Returns:
        The instance.

    Raises:
        UsageError: unknown keys and wrong types.
    """
    from pydantic import ValidationError

    known = _field_names(kind)
    for key in values:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{near(str(key), known)}")
    try:
        built = _adapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = f"{place} is {first['input']!r}: " if place else ""  # else it is of all values together
        raise UsageError(f"{where}: {said}{first['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
    except Exception as error:  # the checks of a plug-in's own class may fail in any way
        raise UsageError(f"{where}: {type(error).__name__}: {error}{own_place(error)}") from error
    for key, value in values.items():
        _check_same(value, getattr(built, key), f"{where}: {key}")
    return built


@functools.cache
def _adapter(kind: type[Any]) -> Any:
    """Made once of each class: to make one takes longer than to check many values."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _field_names(kind: type[Any]) -> list[str]:
    return [entry.name for entry in dataclasses.fields(kind)]


def _check_same(given: object, made: object, where: str) -> None:
    """Refuse what would become another value without a word: true for 1, "8" for 8, "no" for false."""
    if isinstance(given, list) and isinstance(made, list | tuple):
        for before, after in zip(given, made, strict=True):
            _check_same(before, after, where)
        return
    for kind in (bool, str):
        if isinstance(given, kind) != isinstance(made, kind):
            wanted = WORDS.get(type(made), type(made).__name__)
            raise UsageError(f"{where} is {given!r}: it must be {wanted}, like {made!r}")
