"""SMILES strings to fingerprints of MiniMol (arXiv 2404.14986)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch_geometric.data import Batch, Data

from sparsebench.models.anatomy import Anatomy, describe, register_describer
from sparsebench.models.molecules.minimol import MiniMol, minimol_graphs

from ...contracts.traits import MESSAGE_PASSING
from ...prediction.feature_extractor import FeatureExtractor
from .once import featurise_once

_graphs: dict[str, Data] = {}


class MiniMolBody(FeatureExtractor):
    """SMILES -> fingerprints (N, width) of a `MiniMol`."""

    unit = "molecule"
    traits = (MESSAGE_PASSING,)

    def __init__(self, network: MiniMol) -> None:
        super().__init__()
        self.network = network
        self.width = network.width

    def encode(self, raw: Sequence[str]) -> list[Data]:
        """The graph of each SMILES. Raises ValueError with the row of an invalid string."""
        return featurise_once(_graphs, raw, minimol_graphs)

    def collate(self, items: list[Data]) -> Batch:
        """One disconnected graph."""
        return Batch.from_data_list(items)  # type: ignore[arg-type]

    def forward(self, inputs: Data) -> Tensor:
        """Fingerprints (B, width)."""
        return self.network(inputs)


def describe_body(body: Any) -> Anatomy:
    """The anatomy of a `MiniMolBody`: that of the network inside."""
    return replace(describe(body.network), model=body)


register_describer(MiniMolBody, describe_body)
