"""Molecules as a sampler gives them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.models.graphsgpt import Generated

NO_TOKENS = np.zeros((4, 0), dtype=np.int16)


@pytest.fixture
def generated() -> Callable[..., Generated]:
    """A molecule from its SMILES, "" for one that cannot be read."""

    def make(smiles: str, repaired: int = 0) -> Generated:
        facts: dict[str, Any] = {"tokens": NO_TOKENS, "log_prob": 0.0, "repaired": repaired}
        if not smiles:
            return Generated(status="invalid", smiles=None, mol=None, **facts)
        return Generated(status="ok", smiles=smiles, mol=Chem.MolFromSmiles(smiles), **facts)

    return make
