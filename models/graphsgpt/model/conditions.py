"""Wanted properties as tokens of the encoder (GraphsGPT-1W-C, arXiv 2402.02464, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .configuration import GraphsGPTConfig
from .positions import StableEmbedding

# Shapes: B molecules, P properties, D width, F features of a value.

FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
"""Frequencies of the sines and cosines of a standardised value, in radians per standard deviation."""


class ConditionEmbedding(nn.Module):
    """One token for each property that is wanted, and the mark of a request, which every word query carries.

    Values are standardised by the mean and standard deviation in the configuration. "magnitude": token p is W_p f(z)
    plus an embedding of p, where f(z) holds z and sines and cosines of it. "faithful": LayerNorm(z row_p) plus an
    embedding of p; that norm is blind to scale, so little more than the sign of z is left.
    """

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        properties = config.property_names
        width = config.hidden_size
        statistics = config.properties or {}
        self.statistics = [tuple(map(float, statistics[name])) for name in properties]
        self.mark = StableEmbedding(1, width)
        self.positions = StableEmbedding(len(properties), width)
        self.faithful = config.property_encoding == "faithful"
        if self.faithful:
            self.rows = nn.Embedding(len(properties), width)
            self.norm = nn.LayerNorm(width)
        else:
            features = 1 + 2 * len(FREQUENCIES)
            self.values = nn.ModuleList(nn.Linear(features, width) for _ in properties)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, P, D) of values (B, P) in their units, and which are there, bool (B, P): those that are no NaN.

        The columns are in the order of `config.property_names`.
        """
        mean_P, std_P = values.new_tensor(self.statistics).unbind(1)
        present_BP = ~values.isnan()
        # Scaled in the precision of the values: the difference from a mean of 300 says nothing in bfloat16.
        positions_PD = self.positions.table()
        z_BP = ((values - mean_P) / std_P).masked_fill(~present_BP, 0)
        if self.faithful:
            tokens_BPD = self.norm(z_BP.unsqueeze(-1).to(self.rows.weight) * self.rows.weight)
        else:
            features_BPF = value_features(z_BP).to(positions_PD)
            tokens = [layer(features_BPF[:, p]) for p, layer in enumerate(self.values)]
            tokens_BPD = torch.stack(tokens, dim=1)
        return tokens_BPD + positions_PD, present_BP


def value_features(z: Tensor) -> Tensor:
    """z, sin(w z), cos(w z) - 1 for each frequency w: (...) to (..., F); 0 gives 0."""
    angles = z.unsqueeze(-1) * z.new_tensor(FREQUENCIES)
    return torch.cat([z.unsqueeze(-1), angles.sin(), angles.cos() - 1], dim=-1)
