"""Classes made at run time from one of transformers and what we add to it."""

from __future__ import annotations

import copyreg
import functools
from typing import Any

PREFIX = "Sparsebench"


class Derived(type):
    """The type of such classes. They are pickled as what they are made of, since no module holds them by name."""

    sparsebench_mixin: type
    sparsebench_source: type


@functools.cache
def derive(mixin: type, source: type) -> Any:
    """`source` with the methods of `mixin` before its own; the same class at every call."""
    made = {"sparsebench_mixin": mixin, "sparsebench_source": source, "__module__": mixin.__module__}
    return Derived(f"{PREFIX}{source.__name__}", (mixin, source), made)


def source_of(cls: type) -> Any:
    """The class that one was derived from; any other class is its own."""
    return getattr(cls, "sparsebench_source", cls)


def _reduce(cls: Derived) -> Any:
    if "sparsebench_source" in vars(cls):
        return derive, (cls.sparsebench_mixin, cls.sparsebench_source)
    return cls.__qualname__  # a subclass somebody wrote: by name, as usual


copyreg.pickle(Derived, _reduce)
