"""What the outputs of a backbone with a head of its own stand for: two backbones can be compared without a task."""

import functools
from collections.abc import Mapping
from typing import Any


@functools.singledispatch
def vocabulary(loaded: Any) -> Mapping[str, int] | None:
    """Number by token of a loaded backbone; None where a task gives it a head. Register it beside the class."""
    return None


def difference(own: Mapping[str, int], other: Mapping[str, int]) -> str | None:
    """How another vocabulary differs from one's own, in words; None for the same tokens with the same numbers."""
    if own == other:
        return None
    if len(own) != len(other):
        return f"{len(other)} tokens instead of {len(own)}"
    different = [token for token, number in other.items() if own.get(token) != number]
    return f"as many tokens, {len(different)} of them others or with other numbers, first {min(different)!r}"
