"""Molecules to pre-train on, prepared once in a folder: their tokens, and of some of them scaffolds and properties."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.data.own.molecule_files import open_molecules
from sparsebench.models.graphsgpt import (
    ScaffoldFirstTokenizer,
    Tokenizer,
    TokenizerPool,
    TokenStatus,
    TokenStore,
    Vocabulary,
    build_store,
    open_store,
)

CHUNK = 256
READ = 4096
"""Rows of a file in memory at once."""
SOURCE = "source.txt"
ROWS = "rows.npy"
"""Which molecules a folder holds."""
NAMES = tuple(sorted(PROPERTIES))
"""The properties in the order of the columns of a condition (`GraphsGPTConfig.property_names`)."""
_ORDER = [PROPERTIES.index(name) for name in NAMES]
Stream = Callable[[], Iterable[str]]
"""Gives the SMILES strings, from the start at each call."""


READABLE = 0.5
"""Fraction of the strings that must be molecules: of another column some may pass for SMILES."""


class UnreadableMoleculesError(ValueError):
    """A file that holds no molecules, as far as can be read."""


class OtherMoleculesError(ValueError):
    """The folder was prepared from other molecules, or in another way."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """N molecules with tokens. Conditions can be made of R of them, `rows` int64 (R,), evenly spaced over the N.

    There are their scaffolds, R molecules of which those without rings have no tokens; the same molecules in an order
    that begins with the scaffold, `grown`, without tokens where there is no scaffold; and their `values`, float32
    (R, properties), columns as in `NAMES`. `source` says which molecules these are.
    """

    source: str
    molecules: TokenStore
    rows: np.ndarray
    scaffolds: TokenStore
    grown: TokenStore
    values: np.ndarray

    def statistics(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of each property, for `GraphsGPTConfig.properties`."""
        means = np.nanmean(self.values, axis=0).tolist()
        deviations = np.nanstd(self.values, axis=0).tolist()
        found = {}
        for name, mean, deviation in zip(NAMES, means, deviations, strict=True):
            found[name] = (round(mean, 4), max(round(deviation, 4), 1e-4))
        return found


def build_corpus(folder: Path, stream: Stream, *, conditions: int, workers: int = 2, canonical: bool = False) -> Corpus:
    """Prepare `folder`, or open what lies there; a part that was broken off is made again.

    The stream may have any length. `conditions`: for how many molecules scaffolds and properties are computed;
    `canonical` as in `Tokenizer`. Molecules that cannot be tokenised keep their row, without tokens. Raises
    `OtherMoleculesError` where the folder was prepared from another stream, or for another number of conditions, and
    `UnreadableMoleculesError` where no molecule has tokens, or RDKit cannot read most of the strings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = _claim(folder, stream, canonical)
    if not (folder / "molecules").exists():
        with TokenizerPool(Vocabulary.improved(), workers, canonical_strings=canonical) as pool:
            build_store(folder / "molecules", stream(), pool)
    molecules = open_store(folder / "molecules")
    _check_readable(molecules.status, stream)
    count = min(conditions, len(molecules))
    rows = np.arange(count) * len(molecules) // max(1, count)
    if not (folder / "requests").exists():
        chosen = set(rows.tolist())
        smiles = [text for row, text in enumerate(stream()) if row in chosen]
        _describe_all(folder / "requests", smiles, rows, workers)
    scaffolds = open_store(folder / "requests" / "scaffolds")
    _check_rows(folder, _rows_then(folder / "requests", len(scaffolds), len(molecules)), rows)
    return Corpus(
        source=source,
        molecules=molecules,
        rows=rows,
        scaffolds=scaffolds,
        grown=open_store(folder / "requests" / "grown"),
        values=np.load(folder / "requests" / "values.npy"),
    )


def _rows_then(requests: Path, count: int, molecules: int) -> np.ndarray:
    """The rows that a prepared folder has conditions of; before they were written down they had a whole distance."""
    written = requests / ROWS
    return np.load(written) if written.exists() else np.arange(count) * (molecules // max(1, count))


def _check_rows(folder: Path, then: np.ndarray, rows: np.ndarray) -> None:
    if len(then) != len(rows):
        raise OtherMoleculesError(
            f"{folder} was prepared for {len(then)} conditions, not {len(rows)}: remove it or ask for as many"
        )
    if not np.array_equal(then, rows):
        raise OtherMoleculesError(f"{folder} was prepared for conditions of its first molecules alone: remove it")


def _check_readable(status: np.ndarray, stream: Stream) -> None:
    """Raise `UnreadableMoleculesError` where the strings are no molecules, as those of another column."""
    read = int((~np.isin(status, (TokenStatus.INVALID, TokenStatus.EMPTY))).sum())
    if (status == TokenStatus.OK).any() and read >= READABLE * len(status):
        return
    first = next(iter(np.flatnonzero(status != TokenStatus.OK)), None)
    said = "there are none"
    if first is not None:
        text = next(islice(stream(), int(first), None))
        said = f"the first that cannot is {text!r}, {Tokenizer(Vocabulary.improved())([text]).reasons[0]}"
    raise UnreadableMoleculesError(f"{read or 'none'} of the {len(status)} molecules can be read: {said}")


def _claim(folder: Path, stream: Stream, canonical: bool) -> str:
    """Write down from which strings the folder is made. Raises `OtherMoleculesError` where it was made from others."""
    count = 0
    digest = hashlib.sha256()
    for text in stream():
        digest.update(text.encode() + b"\n")
        count += 1
    source = f"{count} strings, sha256 {digest.hexdigest()}"
    file = folder / SOURCE
    there = None
    if file.exists():
        there = file.read_text(encoding="utf-8").strip()
    elif (folder / "molecules").exists() and not _begins(folder / "molecules", stream, count, canonical):
        there = "other molecules"  # prepared by a version that did not write down which
    if there not in (None, source):
        raise OtherMoleculesError(
            f"{folder} was prepared from {there}, not from the {source} given now: remove it or choose another folder"
        )
    partial = file.with_suffix(".partial")
    partial.write_text(source + "\n", encoding="utf-8")
    partial.replace(file)
    return source


def _begins(store: Path, stream: Stream, count: int, canonical: bool) -> bool:
    """Whether a store has so many molecules, and the first ones are those of the stream."""
    molecules = open_store(store)
    first = list(islice(stream(), CHUNK))
    tokens = Tokenizer(molecules.vocabulary, canonical_strings=canonical)(first)
    if len(molecules) != count:
        return False
    return all(np.array_equal(molecules[row], tokens[row]) for row in range(len(first)))


def read_smiles(file: Path, column: str = "") -> Iterator[str]:
    """The molecules of a file, whatever its size (`sparsebench.data.own.molecule_files`).

    Args:
        file: CSV, TSV, Parquet, SMI, text with a molecule first in each line, or SDF.
        column: the column with the SMILES strings; guessed where one alone can be meant.

    Returns:
        The strings. Rows without text are left out; a record of an SDF file that cannot be read is an empty string.

    Raises:
        TableError: a file that cannot be read, or without such a column.
    """
    for part in open_molecules(file, column).parts(READ):
        for row, text in enumerate(part.smiles):
            if text or row in part.broken:
                yield text


def _describe_all(folder: Path, smiles: list[str], rows: np.ndarray, workers: int) -> None:
    """Scaffolds, molecules that begin with them, and properties; the folder appears when it is complete."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(_describe, smiles, chunksize=CHUNK))
    scaffolds = [scaffold for scaffold, _ in found]
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        made = Path(place) / folder.name
        with TokenizerPool(Vocabulary.improved(), workers) as pool:
            build_store(made / "scaffolds", scaffolds, pool)
        with TokenizerPool(Vocabulary.improved(), workers, kind=ScaffoldFirstTokenizer) as pool:
            build_store(made / "grown", zip(smiles, scaffolds, strict=True), pool)
        np.save(made / "values.npy", np.array([row for _, row in found], dtype=np.float32).reshape(-1, len(NAMES)))
        np.save(made / ROWS, rows)
        (made / "columns.json").write_text(json.dumps(NAMES), encoding="utf-8")
        made.rename(folder)


def _describe(smiles: str) -> tuple[str, list[float]]:
    """Scaffold and property values; for a string that cannot be read "" and NaN."""
    values = properties(smiles)[_ORDER].tolist()
    if np.isnan(values).any():
        return "", values
    return scaffold_of(smiles), values
