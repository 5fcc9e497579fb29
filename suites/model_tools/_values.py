"""Values of recipes, as people write them, as the fields of steps want them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError

from sparsebench.data.manifest import near
from sparsebench.models.errors import ModelError

COUNTS = ("tokens",)
"""Keys whose values may be written as 200k or 1.5M."""
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKmM]?)")
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}


def checked(name: str, values: Mapping[Any, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a step: numbers as numbers, lists as tuples, one text for a list as a tuple of one.

    `hints` has the type of each key. Raises `ModelError` for an unknown key, with near ones, and for a value of another
    type.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            raise ModelError(f"{name}: unknown key {key!r}{near(str(key), hints)}")
        if key in COUNTS:
            value = count(value)
        if isinstance(value, str) and get_origin(hints[key]) is tuple:
            value = (value,)
        if isinstance(value, bool) and hints[key] is not bool:
            raise ModelError(f"{name}: {key}={value} must be no truth value")
        try:
            found[key] = TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            raise ModelError(f"{name}: {key}={value!r}: {error.errors()[0]['msg']}") from error
    return found


def count(text: int | str) -> int:
    """A number such as 200000, "200k" or "1.5M". Raises `ModelError` for something else.

    >>> count("1.5M")
    1500000
    """
    match = _COUNT.fullmatch(str(text))
    if match is None:
        raise ModelError(f"{text!r} is no number: write 200000, 200k or 1.5M")
    return round(float(match[1]) * _FACTORS[match[2].lower()])
