"""What the state at BOS or at an edge says about the next edge (arXiv 2402.02464)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration import GraphsGPTConfig

# Shapes: N states, D width, A position codes, F features.

WIDER = 2
"""Hidden size of a `ConditioningMLP`, in widths."""


class Predictions(NamedTuple):
    """About the next edge: logits of its class `bond` (N, 1 + bonds), class 0 meaning stop, and of the class of a new
    end atom `atom` (N, atoms); cosines of its two ends to each code, `begin` and `end` (N, A)."""

    bond: Tensor
    begin: Tensor
    end: Tensor
    atom: Tensor | None


class ZeroInitLinear(nn.Linear):
    """A linear layer that starts at 0."""


class ConditioningMLP(nn.Module):
    """A state that knows parts of the edge: x + W_down SiLU(W_up [x; known]). W_down starts at 0."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.up = nn.Linear(width + features, WIDER * width)
        self.down = ZeroInitLinear(WIDER * width, width, bias=False)

    def forward(self, states: Tensor, known: Tensor) -> Tensor:
        """(N, D) with features (N, F) to (N, D)."""
        return states + self.down(F.silu(self.up(torch.cat([states, known], dim=-1))))


class AutoregressiveHeads(nn.Module):
    """Has each part of an edge know those before it: class, first end, second end and new atom.

    Heads that read one state can only say p(class) p(begin) p(end): where two edges are about as likely, as at every
    ring that may be closed, drawing mixes them up.
    """

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.bond = nn.Embedding(1 + config.num_bonds, width)
        self.at_begin = ConditioningMLP(width, width)
        self.at_end = ConditioningMLP(width, width + config.code_size)


class Heads(nn.Module):
    """Linear heads; those of the two ends give a direction that is compared with the decoder's position codes.

    With `config.autoregressive_heads` the parts are predicted one after the other (`AutoregressiveHeads`).
    """

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.bond = nn.Linear(width, 1 + config.num_bonds, bias=False)
        self.first_atom = nn.Linear(width, config.num_atoms, bias=False)
        self.begin = nn.Linear(width, config.code_size)
        self.end = nn.Linear(width, config.code_size)
        self.atom = None
        if config.predict_atoms:
            self.atom = nn.Linear(width, config.num_atoms, bias=False)
        self.chain = None
        if config.autoregressive_heads:
            self.chain = AutoregressiveHeads(config)

    def forward(
        self, states: Tensor, codes: Tensor, bond: Tensor | None = None, begin: Tensor | None = None
    ) -> Predictions:
        """Predictions from states (N, D) and codes (A, code_size); the first atom has `first_atom` to itself.

        With autoregressive heads, classes `bond` (N,) and ends `begin` (N,), anything at a stop, are what the later
        parts know.
        """
        codes = F.normalize(codes, dim=-1)
        begin_states_ND = states
        end_states_ND = states
        if bond is not None:
            begin_states_ND = self.given_bond(states, bond)
        if bond is not None and begin is not None:
            end_states_ND = self.given_begin(states, codes, bond, begin)
        return Predictions(
            bond=self.bond(states),
            begin=self.first_end(begin_states_ND, codes),
            end=self.second_end(end_states_ND, codes),
            atom=None if self.atom is None else self.atom(end_states_ND),
        )

    def given_bond(self, states: Tensor, bond: Tensor) -> Tensor:
        """States (N, D) for the first end."""
        if self.chain is None:
            return states
        return self.chain.at_begin(states, self.chain.bond(bond))

    def given_begin(self, states: Tensor, codes: Tensor, bond: Tensor, begin: Tensor) -> Tensor:
        """States (N, D) for the second end and its atom; the codes have length 1."""
        if self.chain is None:
            return states
        place = codes[begin] * codes.shape[-1] ** 0.5  # numbers of variance 1, as those of the embedding before them
        known = torch.cat([self.chain.bond(bond), place.to(states.dtype)], dim=-1)
        return self.chain.at_end(states, known)

    def first_end(self, states: Tensor, codes: Tensor) -> Tensor:
        """Cosines (N, A) to the codes, which have length 1, from what `given_bond` gives."""
        return F.normalize(self.begin(states), dim=-1) @ codes.T

    def second_end(self, states: Tensor, codes: Tensor) -> Tensor:
        """Cosines (N, A) to the codes, which have length 1, from what `given_begin` gives."""
        return F.normalize(self.end(states), dim=-1) @ codes.T
