"""Values that a user gave, made into a dataclass with checks."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import UsageError, near


def build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass `kind`; unknown keys and wrong types are a `UsageError`."""
    from pydantic import TypeAdapter, ValidationError

    known = [entry.name for entry in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{near(str(key), known)}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where}: {place} is {first['input']!r}: {first['msg']}") from None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
