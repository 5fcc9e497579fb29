"""How spread the weights of adapters are: the observation that iDAT starts from.

The paper (Ruan et al., arXiv 2403.15750) says that the weights of the adapters of a small ViT are spread and those of
larger ones concentrated. Which number it means by that is not known here; these are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..sparsity.masked import Masked

CLOSE = 0.01
"""Weights below this, in absolute value, count as close to 0."""
QUARTER, THREE_QUARTERS = 0.25, 0.75


@dataclass(frozen=True)
class WeightSpread:
    """How the weights of one model's adapters, taken together, are spread."""

    count: int
    mean: float
    std: float
    """Standard deviation, in the unit of the weights; the number that two models are compared by."""
    interquartile: float
    """Distance of the quartiles: half of the weights lie within it, whatever the tails do."""
    excess_kurtosis: float
    """0 for a normal distribution, above 0 where few weights are far out; 0 where all weights are equal."""
    close: float
    """Fraction of weights with an absolute value below `CLOSE`."""


def adapter_weights(model: nn.Module) -> dict[str, Tensor]:
    """Matrices of a model's bottlenecks and low-rank factors by name, those that pruning left; no biases.

    Args:
        model: a model with adapters. Of one whose own layers were pruned these are among them.
    """
    return {name: layer.stored for name, layer in model.named_modules() if isinstance(layer, Masked)}


def weight_spread(weights: Mapping[str, Tensor]) -> WeightSpread:
    """Mean, standard deviation, interquartile range, excess kurtosis and fraction near 0 of all weights, in float64.

    Args:
        weights: tensors by name, such as `AdapterSet.weights()` gives (matrices, no biases). Of some of them only:
            `{n: w for n, w in weights.items() if ".down." in n}`.

    Raises:
        ModelError: fewer than two weights, or one that is not finite.
    """
    parts = []
    for name, weight in weights.items():
        values = weight.detach().double().flatten().cpu()
        if not values.isfinite().all():
            raise ModelError(f"{name} has weights that are NaN or infinite")
        parts.append(values)
    if sum(map(len, parts)) < 2:
        raise ModelError(f"{len(parts)} tensors with fewer than two weights have no spread: give those of the adapters")
    all_W = torch.cat(parts)
    centred_W = all_W - all_W.mean()
    variance = centred_W.square().mean()
    kurtosis = 0.0
    if variance > 0:
        kurtosis = float((centred_W.square() / variance).square().mean()) - 3
    # By ranks, not torch.quantile, which takes no more than 16 million values.
    sorted_W = all_W.sort().values
    low, high = (sorted_W[round(part * (len(sorted_W) - 1))] for part in (QUARTER, THREE_QUARTERS))
    return WeightSpread(
        count=len(all_W),
        mean=float(all_W.mean()),
        std=float(variance.sqrt()),
        interquartile=float(high - low),
        excess_kurtosis=kurtosis,
        close=float((all_W.abs() < CLOSE).double().mean()),
    )


def compare_spread(small: Mapping[str, Tensor], large: Mapping[str, Tensor]) -> Mapping[str, float]:
    """What the paper says of a small and a large model, as numbers: above 1 it holds.

    Both models have to be trained alike from adapters that start alike, since the start shows in the weights.

    Args:
        small: adapter weights of the small model by name.
        large: those of the large one.

    Returns:
        "std" (standard deviation) and "interquartile" (range): those of the small model over those of the large one;
        infinite where the large one's are 0.

    Raises:
        ModelError: what `weight_spread` refuses.
    """
    first = weight_spread(small)
    second = weight_spread(large)
    return {
        "std": _ratio(first.std, second.std),
        "interquartile": _ratio(first.interquartile, second.interquartile),
    }


def _ratio(first: float, second: float) -> float:
    if second == 0:
        return 1.0 if first == 0 else float("inf")
    return first / second
