"""What MiniMol was pre-trained to predict."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import global_max_pool

from .network import MiniMol, MiniMolConfig

OUTPUTS = {
    "l1000_vcap": ("graph", 2934),
    "l1000_mcf7": ("graph", 2934),
    "pcba_1328": ("graph", 1328),
    "pcqm4m_g25": ("graph", 25),
    "pcqm4m_n4": ("node", 4),
}
"""Of each data set whether it is predicted of molecules or of atoms, and how many numbers."""

_SHARED = {"graph": (512, 1024), "node": (256, 64)}
_LINEAR = ("l1000_vcap", "l1000_mcf7")
"""Heads without an activation."""
_HIDDEN = 128


class PretrainedMiniMol(nn.Module):
    """`trunk`, whose fingerprints are used, and the heads of pre-training: gene expression in two cell lines (L1000),
    1,328 assays of PubChem, and quantum mechanical properties of molecules and of atoms (PCQM4M).

    The release normalises the shared part of the molecules' heads once more, by a norm whose scale and shift are not in
    the checkpoint and are 1 and 0 there, and here.
    """

    def __init__(self, config: MiniMolConfig) -> None:
        super().__init__()
        self.trunk = MiniMol(config)
        self.shared = nn.ModuleDict()
        for level, (hidden, out) in _SHARED.items():
            last = [nn.LayerNorm(out, elementwise_affine=False)] if level == "graph" else []
            self.shared[level] = nn.Sequential(*_mlp(config.out, hidden, out, nn.ReLU()), *last)
        self.heads = nn.ModuleDict()
        for name, (level, outputs) in OUTPUTS.items():
            activation = nn.Identity() if name in _LINEAR else nn.ReLU()
            self.heads[name] = nn.Sequential(*_mlp(_SHARED[level][1], _HIDDEN, outputs, activation))

    def forward(self, graphs: Data) -> dict[str, Tensor]:
        """Predictions by data set: (molecules, outputs), of `pcqm4m_n4` (atoms, 4); logits and standardised values."""
        atoms, links = self.trunk.atom_states(graphs)
        fingerprints = global_max_pool(atoms, links.molecule, len(links.sizes))
        levels = {"graph": self.shared["graph"](fingerprints), "node": self.shared["node"](atoms)}
        return {name: self.heads[name](levels[level]) for name, (level, _) in OUTPUTS.items()}


def _mlp(width: int, hidden: int, out: int, activation: nn.Module) -> list[nn.Module]:
    return [nn.Linear(width, hidden), nn.LayerNorm(hidden), activation, nn.Linear(hidden, out)]
