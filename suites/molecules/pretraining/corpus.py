"""Molecules to pre-train on, prepared once in a folder: their tokens, and of some of them scaffolds and properties."""

from __future__ import annotations

import csv
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
SOURCE = "source.txt"
"""Which molecules a folder holds."""
NAMES = tuple(sorted(PROPERTIES))
"""The properties in the order of the columns of a condition (`GraphsGPTConfig.property_names`)."""
_ORDER = [PROPERTIES.index(name) for name in NAMES]
Stream = Callable[[], Iterable[str]]
"""Gives the SMILES strings, from the start at each call."""


COLUMN = "smiles"
DELIMITERS = {".csv": ",", ".tsv": "\t"}


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
    `UnreadableMoleculesError` where no molecule has tokens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = _claim(folder, stream, canonical)
    if not (folder / "molecules").exists():
        with TokenizerPool(Vocabulary.improved(), workers, canonical_strings=canonical) as pool:
            build_store(folder / "molecules", stream(), pool)
    molecules = open_store(folder / "molecules")
    if not (molecules.status == TokenStatus.OK).any():
        raise UnreadableMoleculesError(f"none of the {len(molecules)} molecules can be read: {_first_of(stream)}")
    count = min(conditions, len(molecules))
    rows = np.arange(count) * (len(molecules) // max(1, count))
    if not (folder / "requests").exists():
        chosen = set(rows.tolist())
        smiles = [text for row, text in enumerate(stream()) if row in chosen]
        _describe_all(folder / "requests", smiles, workers)
    scaffolds = open_store(folder / "requests" / "scaffolds")
    if len(scaffolds) != len(rows):
        raise OtherMoleculesError(
            f"{folder} was prepared for {len(scaffolds)} conditions, not {len(rows)}: remove it or ask for as many"
        )
    return Corpus(
        source=source,
        molecules=molecules,
        rows=rows,
        scaffolds=scaffolds,
        grown=open_store(folder / "requests" / "grown"),
        values=np.load(folder / "requests" / "values.npy"),
    )


def _first_of(stream: Stream) -> str:
    """What the first string is, and why it cannot be read."""
    first = list(islice(stream(), 1))
    reasons = Tokenizer(Vocabulary.improved())(first).reasons
    return f"the first is {first[0]!r}, {reasons[0]}" if first else "there are none"


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


def read_smiles(file: Path) -> Iterator[str]:
    """The molecules of a text file, whatever its size.

    Of a table (`.csv`, `.tsv`, with a header) the column "smiles", in any letters; of another file the first word of
    each line, where a header "smiles" is skipped. Raises `UnreadableMoleculesError` for a table without that column.
    """
    with file.open(encoding="utf-8-sig", newline="") as lines:
        if file.suffix.lower() in DELIMITERS:
            yield from _column(file, csv.reader(lines, delimiter=DELIMITERS[file.suffix.lower()]))
            return
        for number, line in enumerate(lines):
            words = line.split(maxsplit=1)
            if words and not (number == 0 and words[0].lower() == COLUMN):
                yield words[0]


def _column(file: Path, rows: Iterator[list[str]]) -> Iterator[str]:
    header = [name.strip().lower() for name in next(rows, [])]
    if COLUMN not in header:
        raise UnreadableMoleculesError(
            f"{file} has the columns {header} and none of the name {COLUMN!r}: rename the one with the SMILES strings"
        )
    place = header.index(COLUMN)
    for row in rows:
        if len(row) > place and row[place].strip():
            yield row[place].strip()


def _describe_all(folder: Path, smiles: list[str], workers: int) -> None:
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
        (made / "columns.json").write_text(json.dumps(NAMES), encoding="utf-8")
        made.rename(folder)


def _describe(smiles: str) -> tuple[str, list[float]]:
    """Scaffold and property values; for a string that cannot be read "" and NaN."""
    values = properties(smiles)[_ORDER].tolist()
    if np.isnan(values).any():
        return "", values
    return scaffold_of(smiles), values
