"""What the state at BOS or at an edge says about the next edge (arXiv 2402.02464)."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import GraphsGPTConfig

# Shapes: N states, D width, A position codes.


class Predictions(NamedTuple):
    """About the next edge: logits of its class `bond` (N, 1 + bonds), class 0 meaning stop, and of the class of a new
    end atom `atom` (N, atoms); cosines of its two ends to each code, `begin` and `end` (N, A)."""

    bond: Tensor
    begin: Tensor
    end: Tensor
    atom: Tensor | None


class Heads(nn.Module):
    """Linear heads; those of the two ends give a direction that is compared with the decoder's position codes."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.bond = nn.Linear(width, 1 + config.num_bonds, bias=False)
        self.first_atom = nn.Linear(width, config.num_atoms, bias=False)
        self.begin = nn.Linear(width, config.code_size)
        self.end = nn.Linear(width, config.code_size)
        self.atom = nn.Linear(width, config.num_atoms, bias=False) if config.predict_atoms else None

    def forward(self, states: Tensor, codes: Tensor) -> Predictions:
        """Predictions from states (N, D) and codes (A, code_size); the first atom has `first_atom` to itself."""
        codes = F.normalize(codes, dim=-1)
        return Predictions(
            bond=self.bond(states),
            begin=F.normalize(self.begin(states), dim=-1) @ codes.T,
            end=F.normalize(self.end(states), dim=-1) @ codes.T,
            atom=None if self.atom is None else self.atom(states),
        )
