"""Masks as the released code of SparseAdapter computes them, with its defects, for comparison with `sparsify`.

- Everything whose score is at most the threshold goes, ties included: counts are off by the ties.
- The number to remove is rounded up over all layers and down in each layer.
- Masks are paired with weights by shape: where r equals the width, `up` has none and is never pruned.
- Every round scores all weights again, removed ones too: they can come back. For "grasp" the gradient goes through the
  mask, so that what is removed scores 0; in one layer (local) most of it ties at the threshold, and more goes than was
  asked for.
- "snip" divides by the sum of all scores. With B = 0 (LoRA) that is 0 / 0, and masks of NaN scores stay all ones.
- "synflow" runs each adapter on ones, through its inner norm: a layer norm of ones gives 0, and every weight goes.
- Shuffling has no effect, masks are float32, and one round is the default of every criterion.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...sparsity.bottleneck_units import Pair, pair_of
from ...sparsity.criteria import grasp
from ...sparsity.masked import Masked
from ...sparsity.scoring import CRITERIA, Evidence, calibration_losses, gradients
from ...sparsity.selection import restored
from ..kinds.lora import LoRALayer


def faithful_masks(
    layers: Sequence[Masked], evidence: Evidence, *, method: str, density: float, local: bool, rounds: int
) -> list[Tensor]:
    """The masks of the released code; after round t of T the aim is density^(t / T).

    Args:
        layers: what is pruned.
        evidence: model, batches, loss function and random numbers.
        method: a criterion.
        density: the fraction kept.
        local: by each tensor, not by all together.
        rounds: T.

    Returns:
        Float masks of the shapes of the weights.

    Raises:
        ModelError: an unknown criterion, and adapters that are pruned already.
    """
    check_choice("method", method, tuple(CRITERIA))
    if any(layer.masked_out() for layer in layers):
        raise ModelError("faithful=True works on dense adapters: these are pruned already")
    masks = [torch.ones(layer.shape) for layer in layers]
    maskable = [i for i, layer in enumerate(layers) if _has_mask(layer, evidence.pairs)]
    for step in range(1, rounds + 1):
        # Each round removes from all weights again: what an earlier one removed can come back.
        scores = faithful_scores(layers, masks, evidence, method)
        rows = [scores[i].flatten().float().cpu() for i in maskable]
        removed = _removed(rows, 1 - density ** (step / rounds), local)
        for i, gone in zip(maskable, removed, strict=True):
            masks[i] = torch.where(gone, 0.0, 1.0).view(layers[i].shape)
    return masks


def faithful_scores(layers: Sequence[Masked], masks: Sequence[Tensor], evidence: Evidence, method: str) -> list[Tensor]:
    """Scores, of the shapes of the weights, of a round that begins with these float masks on the weights.

    The layers are as before afterwards.
    """
    weights = [layer.stored.detach().clone() for layer in layers]
    placed = [mask.to(weight) for weight, mask in zip(weights, masks, strict=True)]
    with restored(layers):
        with torch.no_grad():
            for layer, weight, mask in zip(layers, weights, placed, strict=True):
                layer.stored.copy_(weight * mask)
        if method == "grasp":
            return _grasp(layers, placed, evidence)
        return _scores(layers, weights, evidence, method)


def _removed(scores: Sequence[Tensor], fraction: float, local: bool) -> list[Tensor]:
    """Boolean, for each row of scores: what is at most the threshold of the row (local), or of all rows together."""
    if not local:
        row = torch.cat(list(scores))
        threshold = _threshold(row, math.ceil(fraction * len(row)))
        return [score <= threshold for score in scores]
    removed = []
    for score in scores:
        threshold = _threshold(score, int(fraction * len(score)))
        removed.append(score <= threshold)
    return removed


def _threshold(row: Tensor, count: int) -> Tensor:
    """The `count` lowest score; below all of them for 0."""
    if count == 0:
        return row.new_tensor(-torch.inf)
    return row.kthvalue(count).values


def _has_mask(layer: Masked, pairs: Sequence[Pair]) -> bool:
    """Not so for an `up` of the shape of its `down`, as that shape finds the mask of `down` first."""
    return not any(layer is pair.up and pair.up.shape == pair.down.shape for pair in pairs)


def _scores(layers: Sequence[Masked], weights: Sequence[Tensor], evidence: Evidence, method: str) -> list[Tensor]:
    """The scores of criteria that look at the weights as they are without masks."""
    if method == "random":
        return [torch.randn(layer.shape, generator=evidence.generator) for layer in layers]
    if method == "magnitude":
        return [weight.abs() for weight in weights]
    if method == "snip":
        return _snip(layers, weights, evidence)
    if method == "synflow":
        return [_flow(layer, evidence.pairs) for layer in layers]
    raise AssertionError(f"method={method!r} was checked")


def _snip(layers: Sequence[Masked], weights: Sequence[Tensor], evidence: Evidence) -> list[Tensor]:
    """|w g| over the sum of all, with the gradients g where the masks are on the weights."""
    scores: list[Tensor] = []
    sums: list[Tensor] = []
    for weight, gradient in zip(weights, gradients(layers, evidence, "snip"), strict=True):
        score = (weight * gradient).abs()
        scores.append(score)
        sums.append(score.sum())
    total = torch.stack(sums).sum()
    return [score / total for score in scores]


def _grasp(layers: Sequence[Masked], masks: Sequence[Tensor], evidence: Evidence) -> list[Tensor]:
    """With the gradient through the masks, which are on the weights."""
    weights = [layer.stored for layer in layers]
    with calibration_losses(weights, evidence, "grasp") as losses:
        return grasp(weights, losses, masks)


def _flow(layer: Masked, pairs: Sequence[Pair]) -> Tensor:
    """|w dR/dw| with R the sum of what the adapter makes of ones when all its parameters are positive."""
    pair, side = pair_of(layer, pairs)
    adapter = pair.owner
    if isinstance(adapter, LoRALayer):  # its pairs have nothing around them, and its base layer is no part of them
        adapter = nn.Sequential(pair.down, pair.up)
    positive = copy.deepcopy(adapter).eval()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    projections = [module for module in positive.modules() if isinstance(module, Masked)]
    weight = projections[side].stored
    ones = torch.ones(1, *pair.down.shape[1:], device=weight.device, dtype=weight.dtype)
    (slope,) = torch.autograd.grad(positive(ones).sum(), weight)
    return (slope * weight).abs().detach()
