"""Per-example outcomes on the disk, small enough to be committed, and read only where a comparison needs them.

A file is compressed JSON: column name to one value for each test example. Numbers are kept as float32, in as few digits
as say which one it is; a thousand right-or-wrong answers take 0.2 kB, a thousand predictions 5 kB.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..statistics.examples import Columns, ExampleScores, example_scores
from .record import RecordError

KEPT = 256
"""Contributions of so many scores stay in memory: those of a baseline are asked for by every row."""
LARGEST = 3.4e38
"""Float32 holds no larger numbers."""
MOST_BYTES = 256 << 20
"""Outcomes of a record take less, unpacked: ten million numbers. A small file can unpack to any size."""
MOST_DIGITS = 100
"""Whole numbers have less: those of more than 308 are no floating-point numbers any more."""


def pack(id: str, examples: Columns) -> bytes:
    """The outcomes of one record as the bytes of its file.

    Args:
        id: the record's id, for an error.
        examples: outcomes by example, by name.

    Raises:
        RecordError: what JSON cannot say, or too much of it.
    """
    try:
        rounded = {name: _rounded(list(values)) for name, values in examples.items()}
        text = json.dumps(rounded, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise RecordError(f"examples of {id} cannot be written as JSON: {error}") from error
    if len(text) > MOST_BYTES:
        raise RecordError(
            f"examples of {id} cannot be written: {len(text) >> 20} MiB, and {MOST_BYTES >> 20} are allowed"
        )
    # Without the time of writing: equal outcomes are equal bytes.
    return gzip.compress(text.encode(), mtime=0)


def unpack(id: str, content: bytes) -> dict[str, list[Any]]:
    """What `pack` wrote.

    Args:
        id: the record's id, for an error.
        content: the bytes of the file.

    Returns:
        Outcomes by example, by name.

    Raises:
        RecordError: a file that is cut, too large or holds something else.
    """
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(content)).read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"they unpack to more than {MOST_BYTES >> 20} MiB")
        columns = json.loads(text, parse_int=_whole)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise RecordError(f"examples of {id} cannot be read: {error}") from error
    if not isinstance(columns, dict) or not all(isinstance(values, list) for values in columns.values()):
        raise RecordError(f"examples of {id} are no columns with one value for each example")
    return columns


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits, and {MOST_DIGITS} are allowed")
    return int(digits)


def _rounded(value: Any) -> Any:
    """Floats as float32, in lists of any depth; a number that float32 cannot hold stays as it is."""
    import numpy as np

    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, bool):
        return int(value)  # one byte where `true` takes four
    if not isinstance(value, float) or not math.isfinite(value) or abs(value) > LARGEST:
        return value
    # The text of a float32 is the shortest that says which one it is; as a double it would have 17 digits.
    return float(str(np.float32(value)))


class ExampleReader:
    """What each example contributes to a score, for the records of one result folder.

    Args:
        read: the outcomes of a record by its id, None where none are kept (`Store.read_examples`).
    """

    def __init__(self, read: Callable[[str], Columns | None]) -> None:
        self._read = read
        self.problems: dict[str, str] = {}
        """Record to what is wrong with its file; such a record is compared without its examples."""
        self._kept = lru_cache(KEPT)(self._load)

    def scores(self, id: str, metric: str, value: float) -> ExampleScores | None:
        """The contributions to one score of a record, or None if they are not kept or do not make it up."""
        return self._kept(id, metric, value)

    def _load(self, id: str, metric: str, value: float) -> ExampleScores | None:
        try:
            columns = self._read(id)
        except RecordError as error:
            self.problems[id] = str(error)
            return None
        if columns is None:
            return None
        return example_scores(metric, value, columns)
