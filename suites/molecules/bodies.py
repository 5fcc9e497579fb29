"""SMILES strings to feature vectors: fingerprints, and graph networks. Molecules are featurised once per process."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from sparsebench.models.molecules.ecfp import ecfp
from sparsebench.models.molecules.gin import GIN, GINConfig
from sparsebench.models.molecules.molecule_graph import molecule_graphs

from ..prediction.task import Body

T = TypeVar("T")

_fingerprints: dict[str, Tensor] = {}
_graphs: dict[str, Data] = {}


class FingerprintBody(Body):
    """ECFP4 of 2,048 bits (Rogers and Hahn, 2010). Nothing to train; hashing counts in no FLOP and in no latency."""

    width = 2048
    unit = "molecule"

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Bits, uint8 (2048,), of each SMILES. Raises ValueError with the row of an invalid string."""
        return remember(_fingerprints, raw, lambda smiles: ecfp(smiles, radius=2, bits=self.width).byte())

    def collate(self, items: list[Tensor]) -> Tensor:
        """Float32 (B, 2048) of zeros and ones."""
        return torch.stack(items).float()

    def forward(self, inputs: Tensor) -> Tensor:
        """The fingerprints themselves."""
        return inputs


class GraphBody(Body):
    """A graph isomorphism network with random weights from the generator."""

    unit = "molecule"

    def __init__(self, width: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.width = width
        seed = int(torch.randint(2**62, (), generator=generator))
        self.network = GIN(GINConfig(width=width, layers=layers, seed=seed))

    def encode(self, raw: Sequence[str]) -> list[Data]:
        """The graph of each SMILES. Raises ValueError with the row of an invalid string."""
        return remember(_graphs, raw, molecule_graphs)

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


def remember(cache: dict[str, T], raw: Sequence[str], compute: Callable[[Sequence[str]], Iterable[T]]) -> list[T]:
    """Look up each string; compute the whole list if one is new, so that an error names its row."""
    if any(smiles not in cache for smiles in raw):
        cache.update(zip(raw, compute(raw), strict=True))
    return [cache[smiles] for smiles in raw]
