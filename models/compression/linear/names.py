"""Which of a model's weights are meant: regular expressions on their dotted names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ModelError

SHOWN = 3
"""Names in a message."""


@dataclass(frozen=True)
class Names:
    """What is meant: names in which one of `targets` is found (all, where there are none), but for those with one of
    `ignore`.

    An expression may match anywhere in a name, as `re.search` has it: `layers\\.0\\.` is the first block, `^model` and
    `down_proj$` say where.

    Raises:
        ModelError: what is no regular expression.
    """

    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("targets", "ignore"):
            value = getattr(self, field)
            if isinstance(value, str):
                raise ModelError(f"{field}={value!r} is a text, not several: write {field}=({value!r},)")
            for expression in value:
                _compiled(field, expression)

    def chosen(self, names: Sequence[str], what: str = "weights") -> list[bool]:
        """Whether each of the names is meant.

        Args:
            names: all that could be meant.
            what: what they are names of, for messages.

        Returns:
            A truth value for each.

        Raises:
            ModelError: an expression that is found in none of the names, and where nothing is left.

        Example: `Names(ignore=("layers.0",)).chosen(["layers.0.mlp", "layers.1.mlp"])` is `[False, True]`.
        """
        found: dict[str, list[bool]] = {}
        for field in ("targets", "ignore"):
            found[field] = [False] * len(names)
            for expression in getattr(self, field):
                pattern = _compiled(field, expression)
                hits = [pattern.search(name) is not None for name in names]
                if not any(hits):
                    raise ModelError(
                        f"{field}: {expression!r} is found in none of the {len(names)} {what}{_few(names)}"
                    )
                found[field] = [one or hit for one, hit in zip(found[field], hits, strict=True)]
        wanted = found["targets"] if self.targets else [True] * len(names)
        left = [one and not ignored for one, ignored in zip(wanted, found["ignore"], strict=True)]
        if names and not any(left):
            raise ModelError(f"of the {len(names)} {what} that targets name, ignore leaves none")
        return left


def _compiled(field: str, expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise ModelError(f"{field}: {expression!r} is no regular expression: {error}") from error


def _few(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f", such as {', '.join([*names[: SHOWN - 1], names[-1]])}"
