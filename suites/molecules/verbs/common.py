"""What the verbs share: the model, the rows of a file with their statuses, what is told at the end."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from transformers.utils import logging

from sparsebench.data.own.molecule_files import MoleculePart
from sparsebench.models import load
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTPipeline, TokenStatus
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary
from sparsebench.models.graphsgpt.tokens.faithful import read

from ..graphsgpt_small import load_small

Progress = Callable[[int], None]
"""Is told how many rows are done."""
FIRST = 5
"""So many rows that are not ok are named in the end."""
_LOST: dict[str, Callable[[Chem.Atom], bool]] = {
    "formal charges": lambda atom: atom.GetFormalCharge() != 0,
    "isotopes": lambda atom: atom.GetIsotope() != 0,
    "radicals": lambda atom: atom.GetNumRadicalElectrons() != 0,
    "lone atoms, as counter-ions": lambda atom: atom.GetDegree() == 0,
}
"""What the tokens of a published model drop (`faithful.walk`), by the atoms that have it."""


@dataclass
class Summary:
    """How many rows have each status, how many molecules have what was dropped, and the first bad rows."""

    faithful: bool = False
    """Whether the model has the vocabulary of the published ones, which holds elements and bonds alone."""
    counts: Counter[str] = field(default_factory=Counter)
    stereo: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """In the faithful mode: molecules by what was dropped of them but stereo."""
    bad: list[str] = field(default_factory=list)

    def add(self, row: int, smiles: str, status: str, reason: str) -> None:
        """Count a row, from 1."""
        self.counts[status] += 1
        if status != "ok" and len(self.bad) < FIRST:
            self.bad.append(f"row {row}: {status}: {reason}")
        if status == "ok" and any(sign in smiles for sign in "@/\\"):
            self.stereo += 1
        if status == "ok" and self.faithful:
            self.lost.update(lost_by_faithful(smiles))


def lost_by_faithful(smiles: str) -> list[str]:
    """What the tokens of a published model do not hold of a molecule that has tokens, but stereo."""
    with rdBase.BlockLogs():
        atoms = read(smiles).GetAtoms()
    return [kind for kind, has in _LOST.items() if any(has(atom) for atom in atoms)]


def pipeline_of(folder: Path | None, batch_size: int) -> GraphsGPTPipeline:
    """The pipeline of a model.

    Args:
        folder: what `sparsebench.models.load` reads; None is the packaged small GraphsGPT.
        batch_size: molecules at once.

    Returns:
        The pipeline, with the model in float32.

    Raises:
        ModelError: no such folder, or it holds no GraphsGPT.
    """
    if folder is None:
        return GraphsGPTPipeline(load_small(), batch_size=batch_size)
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}")
    logging.disable_progress_bar()
    model = load(folder)
    if not isinstance(model, GraphsGPT):
        raise ModelError(f"{folder} holds a {type(model).__name__}, not a GraphsGPT")
    return GraphsGPTPipeline(model.float(), batch_size=batch_size)


def is_faithful(pipeline: GraphsGPTPipeline) -> bool:
    """Whether a model has the vocabulary of the published ones."""
    return own_vocabulary(pipeline.model.config).mode == "faithful"


def weights_digest(model: GraphsGPT) -> str:
    """sha256 of the names and values of a model's weights and of its configuration."""
    digest = hashlib.sha256(model.config.to_json_string().encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def statuses(part: MoleculePart, codes: np.ndarray, reasons: tuple[str, ...]) -> list[tuple[str, str]]:
    """Status and reason of each row; what the file could not give is "unreadable", whatever the tokenizer says."""
    found = []
    for row, (code, reason) in enumerate(zip(codes.tolist(), reasons, strict=True)):
        if row in part.broken:
            found.append(("unreadable", part.broken[row]))
        else:
            found.append((TokenStatus(code).name.lower(), reason))
    return found
