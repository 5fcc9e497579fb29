"""What of the suites is not installed: libraries, which come by extras, and our own weights, a package of their own."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from sparsebench.models.errors import EXTRAS

from ..errors import UsageError
from .registry import ROOT, suites

EXTRA_OF = {"llm": "llm", "vtab": "vision", "molecules": "molecules"}
"""The extra that brings the libraries of a suite."""
WEIGHTS = "weights"
"""The folder of a suite that `sparsebench-weights` fills, and the extra that brings it."""


def lacking(suite: str) -> str | None:
    """What of a suite's libraries is not installed, in one line; None if all are there. Nothing is imported."""
    extra = EXTRA_OF.get(suite)
    absent = [name for name, brings in EXTRAS.items() if brings == extra and find_spec(name) is None]
    if not absent:
        return None
    return f"{suite} is not installed ({', '.join(absent)}): pip install 'sparsebench[{extra}]'"


def lacking_weights(suite: str) -> str | None:
    """A line on a suite whose own small models are not installed; None if they are there, or it has none."""
    if suite not in EXTRA_OF or (ROOT / suite / WEIGHTS).is_dir():
        return None
    return f"{suite}: the weights of our own small models are not installed: pip install 'sparsebench[{WEIGHTS}]'"


def lacking_file(error: OSError) -> str | None:
    """The same of a file of weights that could not be opened; None of any other file."""
    name = error.filename
    if not isinstance(error, FileNotFoundError) or not isinstance(name, str | Path):
        return None
    place = Path(name)
    if not place.is_relative_to(ROOT):
        return None
    suite, folder, *_ = (*place.relative_to(ROOT).parts, "", "")
    return lacking_weights(suite) if folder == WEIGHTS else None


def installed(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of some suites whose libraries are there, and a line for each of the others.

    Raises `UsageError` where none is left.
    """
    lines = {name: lacking(name) for name in names}
    left = [name for name, line in lines.items() if line is None]
    said = [line for line in lines.values() if line is not None]
    if said and not left:
        raise UsageError("; ".join(said))
    return left, said


def problems() -> list[str]:
    """A line for each suite that is not installed, whole or without its weights."""
    found = [lacking(name) or lacking_weights(name) for name in suites()]
    return [line for line in found if line is not None]
