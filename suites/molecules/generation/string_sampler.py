"""How molecules are sampled from a `CharRNN`: strings that are no molecules are drawn again."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rdkit import Chem, rdBase
from torch import Tensor, nn

from sparsebench.models.graphsgpt import Generated
from sparsebench.models.graphsgpt.results import NOTHING
from sparsebench.models.molecules.char_rnn import CharRNN, Written

from ...contracts.method import NotApplicable

TEMPERATURE = 1.0
"""Chosen on MOSES's `validation_set`."""
REDRAWS = 20
"""How often a string that is no molecule is drawn again before it stays invalid."""


class StringSampler(nn.Module):
    """A CharRNN, the temperature that it is sampled at, and how often an invalid string is drawn again."""

    def __init__(self, model: CharRNN, temperature: float = TEMPERATURE, redraws: int = REDRAWS) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.redraws = redraws

    def forward(self, inputs: Tensor) -> Tensor:
        """What the model says of strings."""
        return self.model(inputs)

    @property
    def core_seconds(self) -> float | None:
        """What the training of the model took, where it is known."""
        return self.model.core_seconds

    def sample(
        self,
        n: int,
        references: Sequence[str],
        generator: torch.Generator,
        scaffold: str | None = None,
        properties: Mapping[str, float] | None = None,
    ) -> list[Generated]:
        """`n` molecules; `references` are not used. Raises NotApplicable where something is asked for."""
        if scaffold is not None or properties:
            raise NotApplicable("the model takes no conditions")
        kept: list[Generated | None] = [None] * n
        for drawn in range(1, 2 + self.redraws):
            again = [row for row, one in enumerate(kept) if one is None or one.status != "ok"]
            if not again:
                break
            written = self.model.sample(len(again), temperature=self.temperature, generator=generator)
            for row, one in zip(again, written, strict=True):
                kept[row] = read_string(one, drawn)
        return [one for one in kept if one is not None]


def read_string(written: Written, draws: int) -> Generated:
    """The molecule of a string that was drawn last of `draws`; never raises."""
    facts: dict[str, Any] = {"tokens": NOTHING, "log_prob": written.log_prob, "repaired": 0, "draws": draws}
    if not written.ended:
        return Generated(status="invalid", smiles=None, mol=None, reason="the string has no end", **facts)
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(written.text)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return Generated(status="invalid", smiles=None, mol=None, reason="the string is no molecule", **facts)
    return Generated(status="ok", smiles=Chem.MolToSmiles(molecule), mol=molecule, **facts)
