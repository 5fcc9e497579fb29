"""What the pipeline gives back: words with a status for each molecule, and molecules with how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rdkit import Chem
from torch import Tensor

from ..errors import ModelError
from .decoding.output import Decoded
from .tokens.batch import MoleculeTokens
from .tokens.detokenize import to_molecule
from .tokens.status import TokenStatus
from .tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Shapes: N molecules, K words, D width.


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """`words` (N, K, D), NaN for a molecule that has no tokens; `status` int8 (N,) of `TokenStatus`; `reasons` say why,
    "" for the others."""

    words: Tensor
    status: np.ndarray
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        return f"Encoded({len(self)} molecules, {len(self.ok)} with words of {tuple(self.words.shape[1:])})"

    @property
    def ok(self) -> np.ndarray:
        """Numbers of the molecules that have words."""
        return np.flatnonzero(self.status == TokenStatus.OK)


@dataclass(frozen=True, kw_only=True, eq=False)
class Generated:
    """One decoded molecule.

    `smiles` (canonical, without stereo) and `mol` are None where `status` is not "ok" or "truncated" (a limit on atoms
    or edges cut it short); `reason` says why. `log_prob`: log-likelihood given the words, in nats. `repaired`: edges
    that the model proposed, that were not allowed and were replaced. `draws`: how many molecules were drawn until this
    one was kept (`DecodingConfig.redraws`).
    """

    status: Literal["ok", "truncated", "invalid"]
    smiles: str | None
    mol: Chem.Mol | None
    tokens: MoleculeTokens
    log_prob: float
    repaired: int
    reason: str = ""
    draws: int = 1

    def __repr__(self) -> str:
        facts = [repr(self.smiles), self.status, *([self.reason] if self.reason else [])]
        return f"Generated({', '.join(facts)}, log_prob={self.log_prob:.2f}, repaired={self.repaired})"

    @property
    def as_drawn(self) -> bool:
        """Whether this is a whole molecule just as the model wrote it: nothing repaired, nothing cut short."""
        return self.status == "ok" and not self.repaired

    def to_data(self) -> Data:
        """The molecule as a graph of torch-geometric, which `encode` reads again.

        Returns:
            `x` int64 (atoms, 9), `edge_index` int64 (2, edges), `edge_attr` int64 (edges, 3), as
            `torch_geometric.utils.from_rdmol` gives them, and `smiles`.

        Raises:
            ModelError: there is no molecule.
        """
        from torch_geometric.utils import from_rdmol

        if self.mol is None:
            raise ModelError(f"there is no molecule to make a graph of: {self.reason}")
        graph = from_rdmol(self.mol)
        graph.smiles = self.smiles
        return graph


NOTHING = np.zeros((4, 0), dtype=np.int16)


def read(decoded: Decoded, vocabulary: Vocabulary) -> Generated:
    """The molecule behind decoded tokens; never raises."""
    facts: dict[str, Any] = {"tokens": decoded.tokens, "log_prob": decoded.log_prob, "repaired": decoded.illegal}
    if decoded.status == "invalid":
        return Generated(status="invalid", smiles=None, mol=None, reason="an edge was not allowed", **facts)
    try:
        molecule = decoded.molecule or to_molecule(decoded.tokens, vocabulary)
    except ModelError as error:
        return Generated(status="invalid", smiles=None, mol=None, reason=str(error), **facts)
    status = "ok" if decoded.status == "complete" else "truncated"
    return Generated(status=status, smiles=Chem.MolToSmiles(molecule), mol=molecule, **facts)


def no_words(reason: str) -> Generated:
    """What stands for a molecule whose words are not finite."""
    return Generated(
        status="invalid", smiles=None, mol=None, tokens=NOTHING, log_prob=float("nan"), repaired=0, reason=reason
    )
