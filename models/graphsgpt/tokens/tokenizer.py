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
from .batch import PADDING_ROW, MoleculeTokens, TokenBatch, gather
from .canonical import KekuleMolecule, check_count, first_line, from_mol, from_smiles
from .graph_input import from_graph, single_molecules
from .inputs import listed
from .status import Rejection, TokenStatus, file_hint
from .vocabulary import Vocabulary

CHUNK = 512  # molecules that are assembled at once


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenisedMolecules:
    """N molecules as tokens.

    Attributes:
        rows: int16 (tokens + 1, 4), the last row 0.
        lengths: int64 (N,); 0 for a molecule without tokens.
        status: int8 (N,), of `TokenStatus`.
        reasons: why a molecule has no tokens, "" for the others.
    """

    rows: np.ndarray
    lengths: np.ndarray
    status: np.ndarray
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"TokenisedMolecules({len(self)} molecules, {len(self.ok)} with tokens)"

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
        if indices is None:
            return gather(self.rows, self.starts, self.lengths)
        chosen = np.asarray(indices, dtype=np.int64)
        return gather(self.rows, self.starts[chosen], self.lengths[chosen])


class Tokenizer:
    """`Tokenizer(vocabulary)(molecules)`: tokens of SMILES strings, RDKit molecules and torch-geometric graphs, mixed.

    Improved mode: fragments, each from its first canonical atom in depth-first order, Kekule bonds; the tokens of a
    molecule are the same for any order of its atoms and any way to write it. Stereo is dropped. Isotopes, radicals and
    hydrogen counts that the valence does not imply get a status, since tokens could not give them back. Faithful mode:
    the order given, see `faithful.walk`.

    Args:
        vocabulary: says the mode.
        canonical_strings: the strings are known to be RDKit's canonical SMILES without stereo (MOSES is) and are taken
            as they are, twice as fast; one that is not canonical gets right tokens, but in its own order.
    """

    def __init__(self, vocabulary: Vocabulary, *, canonical_strings: bool = False) -> None:
        self.vocabulary = vocabulary
        self.canonical_strings = canonical_strings
        self._read_atoms = AtomReader(vocabulary)
        self._steps: tuple[Callable[[Any], Any], ...] = (self._walk,)
        if vocabulary.mode == "improved":
            self._steps = (self._canonical, self._atoms)

    def __call__(self, molecules: Iterable[Any] | Any) -> TokenisedMolecules:
        """Never raises for what a molecule is and prints nothing; a single molecule counts as a list of one.

        Batches, loaders and data sets of torch-geometric are as many molecules as they hold. Of a table the column with
        the SMILES strings is read; raises `ModelError` where no column alone can be meant (see `inputs.listed`).
        """
        return concatenate(list(self.stream(listed(molecules))))

    def stream(self, molecules: Iterable[Any]) -> Iterator[TokenisedMolecules]:
        """The same, chunk by chunk, for any number of molecules."""
        for chunk in chunks(single_molecules(molecules), CHUNK):
            with rdBase.BlockLogs():
                part = self._chunk(chunk)
            yield part

    def _chunk(self, items: Sequence[Any]) -> TokenisedMolecules:
        results = items
        for step in self._steps:  # step by step over all, not molecule by molecule: kinder to the processor's caches
            results = [_attempt(step, item) for item in results]
        status = np.full(len(results), TokenStatus.OK, dtype=np.int8)
        reasons = [""] * len(results)
        good = []
        for row, result in enumerate(results):
            if isinstance(result, Rejection):
                status[row] = result.status
                reasons[row] = str(result)
            else:
                good.append(result)
        lengths = np.zeros(len(results), dtype=np.int64)
        rows, lengths[status == TokenStatus.OK] = self._join(good)
        return TokenisedMolecules(rows=rows, lengths=lengths, status=status, reasons=tuple(reasons))

    def _join(self, good: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Rows and lengths of what the last step gave for each molecule."""
        if self.vocabulary.mode == "improved":
            atoms = [atoms for atoms, _ in good]
            orders = [orders for _, orders in good]
            return assemble(atoms, orders, self.vocabulary)
        rows = [tokens.T for tokens in good]
        lengths = np.array([len(part) for part in rows], dtype=np.int64)
        return np.concatenate([*rows, PADDING_ROW]), lengths

    def _canonical(self, item: Any) -> KekuleMolecule:
        molecule = _to_molecule(item)
        if isinstance(molecule, str):
            return from_smiles(molecule, self.canonical_strings)
        return from_mol(molecule)

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
    raise Rejection(TokenStatus.NOT_A_MOLECULE, f"{kind} is no SMILES string, RDKit molecule or graph{file_hint(item)}")


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
    rows = []
    lengths = [np.zeros(0, dtype=np.int64)]  # so that there is something to concatenate
    status = [np.zeros(0, dtype=np.int8)]
    reasons: list[str] = []
    for part in parts:
        rows.append(part.rows[:-1])
        lengths.append(part.lengths)
        status.append(part.status)
        reasons.extend(part.reasons)
    return TokenisedMolecules(
        rows=np.concatenate([*rows, PADDING_ROW]),
        lengths=np.concatenate(lengths),
        status=np.concatenate(status),
        reasons=tuple(reasons),
    )
