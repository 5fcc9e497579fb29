"""GraphsGPT with a head for a property of molecules (arXiv 2402.02464, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from ..tokens.batch import TokenBatch
from .configuration import GraphsGPTConfig
from .modeling import GraphsGPT

# Shapes: B molecules, D width, C outputs.


class MoleculeHead(nn.Module):
    """V tanh(W w + b) + c of the first graph word w (B, D); V (C, D)."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__()
        outputs = config.num_labels
        assert outputs is not None
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, outputs)

    def forward(self, w_BD: Tensor) -> Tensor:
        """Outputs (B, C)."""
        return self.out_proj(torch.tanh(self.dense(w_BD)))


class GraphsGPTForSequenceClassification(GraphsGPT):
    """A `GraphsGPT` whose encoder, with `molecule_head`, gives `config.num_labels` outputs for a molecule.

    Decoder and bond heads are there, as in the official files, and are not called.
    """

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__(config)
        self.molecule_head = MoleculeHead(config)
        self.post_init()

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride] - another task
        self, batch: TokenBatch, generator: torch.Generator | None = None
    ) -> SequenceClassifierOutput:
        """`logits` (B, C); `generator` draws the atom ids if `config.encoder_ids` is "random"."""
        words = self.encoder(batch, generator=generator)
        logits: Tensor = self.molecule_head(words[:, 0])
        return SequenceClassifierOutput(logits=logits)  # pyright: ignore[reportArgumentType]
