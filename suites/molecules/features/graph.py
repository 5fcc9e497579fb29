"""SMILES strings to features of a graph network."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from sparsebench.models.molecules.dmpnn import DMPNN
from sparsebench.models.molecules.gin import GIN
from sparsebench.models.molecules.molecule_graph import molecule_graphs

from ...contracts.traits import MESSAGE_PASSING
from ...prediction.feature_extractor import FeatureExtractor
from .once import featurise_once

_graphs: dict[str, Data] = {}


class GraphBody(FeatureExtractor):
    """A graph network: a vector of its `width` for each molecule."""

    unit = "molecule"
    traits = (MESSAGE_PASSING,)

    def __init__(self, network: GIN | DMPNN) -> None:
        super().__init__()
        self.width = network.width
        self.network = network

    def encode(self, raw: Sequence[str]) -> list[Data]:
        """The graph of each SMILES. Raises ValueError with the row of an invalid string."""
        return featurise_once(_graphs, raw, molecule_graphs)

    def collate(self, items: list[Data]) -> Batch:
        """One disconnected graph."""
        return Batch.from_data_list(items)  # type: ignore[arg-type]

    def forward(self, inputs: Data) -> Tensor:
        """(B, width)."""
        if self.training and inputs.num_nodes == 1:
            # Batch norm cannot train on one atom, and the last batch may be methane alone.
            self.network.eval()
            features = self.network(inputs)
            self.network.train()
            return features
        return self.network(inputs)


def size_of(backbone: str, argument: str, example: str) -> tuple[int, int]:
    """The two numbers of an argument such as 300x5. Raises ValueError, with the example, for another one."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", argument)
    if match is None:
        raise ValueError(f"backbone {backbone!r} wants width x layers, as in {backbone}:{example}, not {argument!r}")
    return int(match[1]), int(match[2])


def seed_of(generator: torch.Generator) -> int:
    """A seed for the weights of a network."""
    return int(torch.randint(2**62, (), generator=generator))
