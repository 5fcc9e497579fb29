"""Errors a user can cause, the check that names near values, and that of whole numbers."""

import difflib
from collections.abc import Sequence


class ModelError(ValueError):
    """A model, a configuration or an input that a transform cannot work with."""


def check_choice(field: str, value: object, options: Sequence[str]) -> None:
    """Raise a `ModelError` with near names unless `value` is one of `options`."""
    if value in options:
        return
    near = difflib.get_close_matches(str(value), options, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(f"{field}={value!r} is not one of {', '.join(options)}{hint}")


def check_whole(field: str, value: object) -> None:
    """Raise a `ModelError` unless `value` is a whole number, at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ModelError(f"{field}={value!r} must be a whole number, at least 1")
