"""How likely the decoder finds a molecule, given words: the log-probability that decoding it would gain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ModelError
from .model.losses import NONE, Targets, slots
from .model.modeling import GraphsGPT, GraphsGPTOutput
from .tokens.batch import TokenBatch

# Shapes: B molecules, N states that predict, K words, D width.


@torch.no_grad()
def log_likelihood(model: GraphsGPT, batch: TokenBatch, words: Tensor) -> Tensor:
    """Sum of log-probabilities (B,), in nats, of the first atom and of each edge's class, ends and new atom; NaN for a
    molecule without tokens. Raises `ModelError` for the contrastive connection, whose similarities are none."""
    if model.config.connection_loss != "cross_entropy":
        raise ModelError("the contrastive connection gives similarities, not probabilities: nothing to score")
    out = model(batch, words=words)
    some, owner = batch.mask.any(dim=1), out.targets.read.nonzero()[:, 0]
    total = words.new_zeros(len(batch), dtype=torch.float32)
    total.index_add_(0, owner, _edges(out, out.targets, float(model.config.connection_scale)))
    total.index_add_(0, some.nonzero()[:, 0], _log_prob(out.first_atom, out.targets.first_atom))
    return total.masked_fill(~some, torch.nan)


def _edges(out: GraphsGPTOutput, target: Targets, scale: float) -> Tensor:
    """Log-probability (N,) of each next edge, or stop."""
    predicted = out.predictions
    assert predicted is not None
    parts = [
        _log_prob(predicted.bond, target.bond),
        _log_prob(slots(predicted.begin.float(), target.present, scale), target.begin),
        _log_prob(slots(predicted.end.float(), target.present + 1, scale), target.end),
    ]
    if predicted.atom is not None:
        parts.append(_log_prob(predicted.atom, target.atom))
    return torch.stack(parts).sum(0)


def _log_prob(logits: Tensor, target: Tensor) -> Tensor:
    """Log-probability (N,) of the targets; 0 where there is none."""
    return -F.cross_entropy(logits.float(), target, reduction="none", ignore_index=NONE)
