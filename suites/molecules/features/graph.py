"""SMILES strings to features of a graph network."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from sparsebench.models.molecules.gin import GIN, GINConfig
from sparsebench.models.molecules.molecule_graph import molecule_graphs

from ...contracts.traits import MESSAGE_PASSING
from ...prediction.feature_extractor import FeatureExtractor
from .once import featurise_once

_graphs: dict[str, Data] = {}


class GraphBody(FeatureExtractor):
    """A graph isomorphism network with random weights from the generator."""

    unit = "molecule"
    traits = (MESSAGE_PASSING,)

    def __init__(self, width: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.width = width
        seed = int(torch.randint(2**62, (), generator=generator))
        self.network = GIN(GINConfig(width=width, layers=layers, seed=seed))

    def encode(self, raw: Sequence[str]) -> list[Data]:
        """The graph of each SMILES. Raises ValueError with the row of an invalid string."""
        return featurise_once(_graphs, raw, molecule_graphs)

    def collate(self, items: list[Data]) -> Batch:
        """One disconnected graph."""
        return Batch.from_data_list(items)  # type: ignore[arg-type]

    def forward(self, inputs: Data) -> Tensor:
        """Mean atom state, (B, width)."""
        if self.training and inputs.num_nodes == 1:
            # Batch norm cannot train on one atom, and the last batch may be methane alone.
            self.network.eval()
            features = self.network(inputs)
            self.network.train()
            return features
        return self.network(inputs)
