"""Morgan fingerprints, and the bits that two of them share."""

from collections.abc import Iterator, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from scipy.sparse import csr_matrix

BITS = 1024
"""Those that MOSES takes."""
_BLOCK = 1024  # columns: a block of the reference (1 MB) stays in the cache


def morgan(molecules: Sequence[Chem.Mol], bits: int = BITS) -> np.ndarray:
    """Bits of radius 2 (ECFP4), uint8 (molecules, bits)."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=bits)
    rows = [generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]
    return np.array(rows, dtype=np.uint8).reshape(len(rows), bits)


def morgan_counts(molecules: Sequence[Chem.Mol], bits: int = BITS) -> np.ndarray:
    """How often each environment of radius 2 is there, int32 (molecules, bits); two that share a place are added."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=bits)
    rows = [generator.GetCountFingerprintAsNumPy(molecule) for molecule in molecules]
    return np.array(rows, dtype=np.int32).reshape(len(rows), bits)


def shared_bits(rows: np.ndarray, columns: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of shared bits of fingerprints (N, bits) with (M, bits), a block of columns at a time.

    Yields (part of ``order``, uint8 or uint16 (N, part)). A product of a sparse and a dense matrix of small integers:
    a fingerprint has some 43 of 1,024 bits, so that adding bytes beats a floating-point product by far.
    """
    largest = max(int(bits.sum(1, dtype=np.int64).max(initial=0)) for bits in (rows, columns))
    dtype = np.uint8 if largest < 256 else np.uint16
    sparse = csr_matrix(rows.astype(dtype))
    for start in range(0, len(order), _BLOCK):
        part = order[start : start + _BLOCK]
        yield part, sparse @ np.ascontiguousarray(columns[part].T, dtype=dtype)
