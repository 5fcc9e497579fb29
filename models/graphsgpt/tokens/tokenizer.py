"""Molecules to tokens: strings, RDKit molecules and graphs, each with a status, none dropped."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from . import faithful
from .assemble import assemble
from .atoms import AtomReader
from .batch import MoleculeTokens, TokenBatch, gather
from .canonical import KekuleMolecule, check_count, first_line, from_mol, from_smiles
from .graph_input import from_graph
from .status import Rejection, TokenStatus
from .vocabulary import Vocabulary

CHUNK = 512  # molecules that are assembled at once


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenisedMolecules:
    """N molecules: `rows` int16 (tokens + 1, 4), the last row 0; `lengths` int64 (N,); `status` int8 (N,).

    A molecule whose status is not `TokenStatus.OK` has length 0, and a reason in `reasons`, which is "" for the others.
    """

    rows: np.ndarray
    lengths: np.ndarray
    status: np.ndarray
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> MoleculeTokens:
        return self.rows[self.starts[index] : self.starts[index] + self.lengths[index]].T

    @cached_property
    def starts(self) -> np.ndarray:
        """Row of the first token of each molecule, int64 (N,)."""
        return self.lengths.cumsum() - self.lengths

    @property
    def ok(self) -> np.ndarray:
        """Numbers of the molecules that have tokens."""
        return np.flatnonzero(self.status == TokenStatus.OK)

    def batch(self, indices: Sequence[int] | np.ndarray | None = None) -> TokenBatch:
        """These molecules, by default all, padded to the longest."""
        chosen = slice(None) if indices is None else np.asarray(indices, dtype=np.int64)
        return gather(self.rows, self.starts[chosen], self.lengths[chosen])


class Tokenizer:
    """`Tokenizer(vocabulary)(molecules)`: tokens of SMILES strings, RDKit molecules and torch-geometric graphs, mixed.

    Improved mode: fragments, each from its first canonical atom in depth-first order, Kekule bonds; the tokens of a
    molecule are the same for any order of its atoms and any way to write it. Stereo is left out. Isotopes, radicals and
    hydrogen counts that the valence does not imply get a status, since tokens could not give them back.
    With `canonical_strings` the strings are known to be RDKit's canonical SMILES without stereo (MOSES is) and are
    taken as they are, twice as fast; one that is not canonical gets right tokens, but in its own order.
    Faithful mode: the order given, see `faithful.walk`.
    """

    def __init__(self, vocabulary: Vocabulary, *, canonical_strings: bool = False) -> None:
        self.vocabulary = vocabulary
        self.canonical_strings = canonical_strings
        self._read_atoms = AtomReader(vocabulary)
        self._steps = (self._canonical, self._atoms) if vocabulary.mode == "improved" else (self._walk,)

    def __call__(self, molecules: Iterable[Any] | Any) -> TokenisedMolecules:
        """Never raises for what a molecule is and prints nothing; a single molecule counts as a list of one."""
        single = isinstance(molecules, str | Chem.Mol) or hasattr(molecules, "edge_index")
        return concatenate(list(self.stream([molecules] if single else molecules)))

    def stream(self, molecules: Iterable[Any]) -> Iterator[TokenisedMolecules]:
        """The same, chunk by chunk, for any number of molecules."""
        for chunk in chunks(molecules, CHUNK):
            with rdBase.BlockLogs():
                part = self._chunk(chunk)
            yield part

    def _chunk(self, items: Sequence[Any]) -> TokenisedMolecules:
        results = items
        for step in self._steps:  # step by step over all, not molecule by molecule: kinder to the processor's caches
            results = [_attempt(step, item) for item in results]
        status = np.array([r.status if isinstance(r, Rejection) else TokenStatus.OK for r in results], dtype=np.int8)
        lengths = np.zeros(len(results), dtype=np.int64)
        good = [result for result in results if not isinstance(result, Rejection)]
        rows, lengths[status == TokenStatus.OK] = self._join(good)
        reasons = tuple(str(result) if isinstance(result, Rejection) else "" for result in results)
        return TokenisedMolecules(rows=rows, lengths=lengths, status=status, reasons=reasons)

    def _join(self, good: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Rows and lengths."""
        if self.vocabulary.mode == "improved":
            return assemble([atoms for atoms, _ in good], [orders for _, orders in good], self.vocabulary)
        lengths = np.array([tokens.shape[1] for tokens in good], dtype=np.int64)
        return np.concatenate([*(tokens.T for tokens in good), np.zeros((1, 4), dtype=np.int16)]), lengths

    def _canonical(self, item: Any) -> KekuleMolecule:
        item = _to_molecule(item)
        return from_smiles(item, self.canonical_strings) if isinstance(item, str) else from_mol(item)

    def _atoms(self, molecule: KekuleMolecule) -> tuple[list[int], np.ndarray]:
        check_count(len(molecule.orders))
        return self._read_atoms(molecule), molecule.orders

    def _walk(self, item: Any) -> MoleculeTokens:
        return faithful.walk(faithful.read(_to_molecule(item)), self.vocabulary)


def _attempt(step: Callable[[Any], Any], item: Any) -> Any:
    if isinstance(item, Rejection):
        return item
    try:
        return step(item)
    except Rejection as rejection:
        return rejection.with_traceback(None)
    except (ValueError, RuntimeError) as error:  # RDKit's, where a check fails inside it
        return Rejection(TokenStatus.INVALID, first_line(error))


def _to_molecule(item: Any) -> str | Chem.Mol:
    if isinstance(item, str | Chem.Mol):
        return item
    if hasattr(item, "edge_index"):
        return from_graph(item)
    kind = type(item).__name__
    raise Rejection(TokenStatus.NOT_A_MOLECULE, f"{kind} is no SMILES string, RDKit molecule or graph")


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items, the last one shorter."""
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def concatenate(parts: Sequence[TokenisedMolecules]) -> TokenisedMolecules:
    """All molecules of the parts, in order."""
    empty = np.zeros((1, 4), dtype=np.int16)
    return TokenisedMolecules(
        rows=np.concatenate([*(part.rows[:-1] for part in parts), empty]),
        lengths=np.concatenate([np.zeros(0, dtype=np.int64), *(part.lengths for part in parts)]),
        status=np.concatenate([np.zeros(0, dtype=np.int8), *(part.status for part in parts)]),
        reasons=tuple(reason for part in parts for reason in part.reasons),
    )
