"""MOSES (Polykovskiy et al., 2020): 1.9 million drug-like molecules and the reference statistics of its metrics."""

import gzip
import io
import itertools
import pickle
import zipfile
from typing import Any, Literal, get_args

from ..errors import DataError, UnknownSource
from ..manifest import near
from ..sources import path

Split = Literal["train", "test", "test_scaffolds"]

# All that the statistics need; numpy.core is the name that older numpy wrote.
_ALLOWED = {
    ("_codecs", "encode"),
    ("collections", "Counter"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
}


def moses(split: Split, limit: int | None = None) -> list[str]:
    """SMILES of a split in the file's order: 1,584,663 / 176,074 / 176,225 rows.

    Args:
        split: "train", "test" or "test_scaffolds".
        limit: at most the first so many.

    Raises:
        UnknownSource: another split.
    """
    if split not in get_args(Split):
        raise UnknownSource(f"unknown MOSES split {split!r}{near(split, get_args(Split))}")
    with gzip.open(path("moses", split), "rt", encoding="ascii") as lines:
        column = next(lines).rstrip("\n").split(",").index("SMILES")
        return [line.rstrip("\n").split(",")[column] for line in itertools.islice(lines, limit)]


def moses_statistics(split: Literal["test", "test_scaffolds"]) -> dict[str, Any]:
    """Reference statistics of a test split by metric name: FCD, SNN, Frag, Scaf, logP, SA, QED, weight.

    The file is a pickle inside an npz. It is read after its archive's checksum was verified, by an unpickler that can
    build arrays and counters and nothing else.

    Args:
        split: "test" or "test_scaffolds".

    Raises:
        UnknownSource: another split.
        DataError: the pickle asks for anything else.
    """
    allowed = ("test", "test_scaffolds")
    if split not in allowed:
        raise UnknownSource(f"no MOSES statistics for {split!r}{near(split, allowed)}")
    with zipfile.ZipFile(path("moses", f"{split}_statistics")) as archive:
        stream = io.BytesIO(archive.read("stats.npy"))
    _skip_npy_header(stream)
    return _Unpickler(stream, encoding="latin1").load().item()


def _skip_npy_header(stream: io.BytesIO) -> None:
    from numpy.lib import format as npy

    npy.read_magic(stream)
    npy.read_array_header_1_0(stream)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise DataError(f"moses: the statistics ask for {module}.{name}, which is not allowed")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
