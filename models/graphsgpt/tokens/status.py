"""What became of a molecule that was to be tokenised."""

from enum import IntEnum
from pathlib import Path
from typing import Any

_FILES = (".smi", ".sdf", ".csv", ".tsv", ".parquet", ".txt", ".gz", ".mol", ".mol2")


class TokenStatus(IntEnum):
    """Anything but OK has no tokens; the reason that comes with it says what was found."""

    OK = 0
    NOT_A_MOLECULE = 1  # neither a string, nor an RDKit molecule, nor a graph
    INVALID = 2  # RDKit cannot read or sanitise it
    EMPTY = 3  # no atoms, or in faithful mode no bonds
    TOO_MANY_ATOMS = 4
    UNKNOWN_TOKEN = 5  # an atom or a bond outside the vocabulary
    ISOTOPE = 6
    RADICAL = 7  # fewer hydrogens than the valence implies
    HYDROGENS = 8  # more hydrogens than the valence implies
    NO_SCAFFOLD = 9  # the scaffold that should come first is not in it


class Rejection(Exception):  # noqa: N818 - an outcome
    """Why one molecule has no tokens; never leaves the tokenizer."""

    def __init__(self, status: TokenStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def file_hint(item: Any) -> str:
    """What to add to the reason why an item is no molecule where it looks like the name of a file."""
    if not isinstance(item, str | Path) or not str(item).lower().endswith(_FILES):
        return ""
    return "; it looks like a file: read its molecules, or `sparsebench molecules encode FILE OUT.parquet`"
