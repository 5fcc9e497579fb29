"""Tokens of any number of molecules in one flat, memory-mapped file."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import ModelError
from .batch import PADDING_ROW, MoleculeTokens, TokenBatch, gather
from .status import TokenStatus
from .tokenizer import TokenisedMolecules
from .vocabulary import Vocabulary

FORMAT = 1
_ROWS = "rows.i16"
_OFFSETS = "offsets.npy"
_STATUS = "status.npy"
_FAILURES = "failures.jsonl"
_META = "store.json"


class Streams(Protocol):
    """A `Tokenizer` or a `TokenizerPool`."""

    vocabulary: Vocabulary

    def stream(self, molecules: Iterable[Any], /) -> Iterator[TokenisedMolecules]:
        """Tokens of the molecules, chunk by chunk."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenStore:
    """N molecules in a folder; make one with `build_store`, read it with `open_store`.

    Attributes:
        folder: where it lies.
        vocabulary: what the tokens mean.
        rows: int16 (tokens + 1, 4), mapped and not read (`batch.gather`).
        offsets: int64 (N + 1,): molecule i is rows `offsets[i]` to `offsets[i + 1]`.
        status: int8 (N,); where it is not `TokenStatus.OK` the length is 0.
    """

    folder: Path
    vocabulary: Vocabulary
    rows: np.ndarray
    offsets: np.ndarray
    status: np.ndarray

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, index: int) -> MoleculeTokens:
        if not 0 <= index < len(self):
            raise IndexError(f"molecule {index} of a store of {len(self)}")
        return self.rows[self.offsets[index] : self.offsets[index + 1]].T

    def __reduce__(self) -> tuple[Any, ...]:
        return open_store, (self.folder,)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each molecule, int64 (N,)."""
        return np.diff(self.offsets)

    @property
    def ok(self) -> np.ndarray:
        """Numbers of the molecules that have tokens."""
        return np.flatnonzero(self.status == TokenStatus.OK)

    def batch(self, indices: Sequence[int] | np.ndarray) -> TokenBatch:
        """Some molecules, padded to the longest.

        Args:
            indices: of the molecules, from 0.

        Raises:
            IndexError: one outside 0..N - 1.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        if chosen.min(initial=0) < 0:
            raise IndexError(f"molecule {chosen.min()} of a store of {len(self)}")
        starts = self.offsets[chosen]
        return gather(self.rows, starts, self.offsets[chosen + 1] - starts)

    def failures(self) -> list[dict[str, Any]]:
        """Row, status and reason of each molecule without tokens."""
        lines = (self.folder / _FAILURES).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def build_store(folder: Path | str, molecules: Iterable[Any], tokenizer: Streams) -> TokenStore:
    """Tokenise molecules into a new folder; memory does not grow with the tokens.

    The folder appears when it is complete, so whatever stops the work leaves nothing half-made there.

    Args:
        folder: where to; it must not exist.
        molecules: SMILES or RDKit molecules, in any number.
        tokenizer: a tokenizer, or a pool of processes that tokenise.

    Returns:
        The store, opened.

    Raises:
        ModelError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise ModelError(f"{folder} exists: open it with open_store, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(partial, tokenizer.stream(molecules), tokenizer.vocabulary)
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_store(folder)


def _write(folder: Path, parts: Iterable[TokenisedMolecules], vocabulary: Vocabulary) -> None:
    lengths = [np.zeros(1, dtype=np.int64)]
    status = [np.zeros(0, dtype=np.int8)]
    row = 0
    with (folder / _ROWS).open("wb") as rows, (folder / _FAILURES).open("w", encoding="utf-8") as failures:
        for part in parts:
            # Without the padding row of the part: the store has one for all, at its end.
            rows.write(part.rows[:-1].tobytes())
            lengths.append(part.lengths)
            status.append(part.status)
            for index in np.flatnonzero(part.status != TokenStatus.OK).tolist():
                name = TokenStatus(part.status[index]).name
                failure = {"row": row + index, "status": name, "reason": part.reasons[index]}
                failures.write(json.dumps(failure) + "\n")
            row += len(part)
        rows.write(PADDING_ROW.tobytes())
    np.save(folder / _OFFSETS, np.concatenate(lengths).cumsum())
    np.save(folder / _STATUS, np.concatenate(status))
    files = {name: _fingerprint(folder / name) for name in (_ROWS, _OFFSETS, _STATUS, _FAILURES)}
    meta = {"format": FORMAT, "molecules": row, "vocabulary": vocabulary.to_dict(), "files": files}
    (folder / _META).write_text(json.dumps(meta), encoding="utf-8")


def open_store(folder: Path | str, *, verify: bool = False) -> TokenStore:
    """Map a store into memory; sizes of its files are always checked.

    Args:
        folder: what `build_store` wrote.
        verify: check the sha256 of all files, too.

    Returns:
        The store.

    Raises:
        ModelError: a folder without a store, of another format, or with files that are not as they were written.
    """
    folder = Path(folder)
    try:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} holds no token store: make one with build_store") from error
    if meta["format"] != FORMAT:
        raise ModelError(f"{folder} has format {meta['format']}, this version reads {FORMAT}: build it again")
    for name, stated in meta["files"].items():
        _check(folder / name, stated, verify)
    rows = np.memmap(folder / _ROWS, dtype=np.int16, mode="r").reshape(-1, 4).view(np.ndarray)
    return TokenStore(
        folder=folder,
        vocabulary=Vocabulary.from_dict(meta["vocabulary"]),
        rows=rows,
        offsets=np.load(folder / _OFFSETS),
        status=np.load(folder / _STATUS),
    )


def _fingerprint(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _check(file: Path, stated: dict[str, Any], verify: bool) -> None:
    size = None
    if file.is_file():
        size = file.stat().st_size
    if size != stated["bytes"]:
        raise ModelError(f"{file} has {size} bytes instead of {stated['bytes']}: remove the store and build it again")
    if verify and _fingerprint(file) != stated:
        raise ModelError(f"{file} does not have the sha256 {stated['sha256']}: remove the store and build it again")
