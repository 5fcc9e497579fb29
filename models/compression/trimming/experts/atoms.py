"""Neurons of experts ranked over the whole model by a second-order loss (HEAPr, arXiv 2509.22299).

Neuron f of expert e adds a(x) = h_f(x) d_f to the expert's output, d_f its column of the down projection. By the
principle of Optimal Brain Surgeon, with the Fisher matrix of the expert's output in the place of its Hessian, the loss
without it rises by

    s_f = 1/2 * sum over the expert's tokens of a(x)^T G a(x) = 1/2 * (sum of h_f(x)^2) * d_f^T G d_f,

G the mean over these tokens of g g^T, where g is the gradient of the loss with respect to the expert's output. One
backward pass and one more forward pass give all of them, and the lowest of all experts of all layers go. From the
formulas; no code of the authors' was there to compare with.

Here they go as a mask: a bank of experts has equally many neurons in each, so their weights become 0 and are stored.
The model computes what one with narrower experts would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ....anatomy import Experts
from ....calibration.calls import batch_list
from ....calibration.mixture_statistics import LayerStatistics
from ....errors import ModelError
from ....evaluation import evaluation_mode
from ...quantisation.files.part import packed_weights
from .mixtures import Mixture, changeable_mixtures, check_statistics, mixtures_of

# Shapes: N experts, T tokens, K chosen experts, D width, F hidden neurons.


@dataclass(frozen=True)
class MaskedAtoms:
    """Neurons of one mixture that are left of each expert, and how many each had."""

    layer: str
    kept: tuple[int, ...]
    width: int


def output_gradients(
    model: nn.Module, batches: Iterable[Any], loss: Callable[[nn.Module, Any], Tensor]
) -> list[Tensor]:
    """The sum of g g^T over each expert's tokens, g the gradient of a loss with respect to the expert's output.

    Args:
        model: a model with mixtures of experts; no parameter gets a gradient.
        batches: calibration data.
        loss: a sum over tokens, of the model on a batch.

    Returns:
        (N, D, D) for each mixture, in float32 or better.

    Raises:
        ModelError: a model without a mixture, experts that are not called with (x, index, weight), and gradients that
            are not finite.
    """
    mixtures = mixtures_of(model)
    found: list[Tensor] = []
    for mixture in mixtures:
        down = mixture.experts.weights(0).down
        width = down.shape[0]
        dtype = torch.promote_types(down.dtype, torch.float32)
        found.append(torch.zeros(mixture.experts.num_experts, width, width, dtype=dtype, device=down.device))
    with evaluation_mode(model), _frozen(model), _watched(mixtures) as calls, torch.enable_grad():
        for batch in batch_list(batches):
            calls.clear()
            loss(model, batch).backward()
            for place, index_TK, weight_TK, output in calls:
                if output.grad is not None:
                    _add(found[place], index_TK, weight_TK, output.grad.flatten(0, -2))
    for mixture, sums_NDD in zip(mixtures, found, strict=True):
        if not sums_NDD.isfinite().all():
            raise ModelError(f"{mixture.path}: gradients on the calibration data are NaN or infinite")
    return found


def _add(sums_NDD: Tensor, index_TK: Tensor, weight_TK: Tensor, gradient_TD: Tensor) -> None:
    """What a layer adds of an expert is its output times the weight, and so is the gradient."""
    for expert in range(len(sums_NDD)):
        token_P, place_P = (index_TK == expert).nonzero(as_tuple=True)
        own_PD = gradient_TD[token_P].to(sums_NDD.dtype) * weight_TK[token_P, place_P].unsqueeze(1).to(sums_NDD.dtype)
        sums_NDD[expert] += own_PD.T @ own_PD


def atom_scores(experts: Experts, statistics: LayerStatistics, gradients_NDD: Tensor) -> list[Tensor]:
    """By how much the loss, a sum over tokens, rises without each neuron (F,) of each expert; 0 without a token.

    Args:
        experts: of a mixture.
        statistics: those of `mixture_statistics(..., moments=True)` for it.
        gradients_NDD: those of `output_gradients`, on the same data.

    Returns:
        float64, one tensor for each expert.

    Raises:
        ModelError: statistics without the moments of hidden neurons.
    """
    if statistics.hidden_square is None:
        raise ModelError(f"{statistics.layer}: no moments of its neurons: take mixture_statistics(..., moments=True)")
    found: list[Tensor] = []
    for expert in range(experts.num_experts):
        down_DF = experts.weights(expert).down.detach().double()
        mean_DD = gradients_NDD[expert].double() / statistics.counts[expert].clamp_min(1)
        curvature_F = (down_DF * (mean_DD @ down_DF)).sum(0).cpu()
        found.append(statistics.hidden_square[expert, : down_DF.shape[1]] * curvature_F / 2)
    return found


@torch.no_grad()
def mask_atoms(
    model: nn.Module, statistics: Sequence[LayerStatistics], gradients: Sequence[Tensor], keep: float
) -> list[MaskedAtoms]:
    """Leave the best neurons of all experts of all mixtures together; the weights of the others become 0, in place.

    Args:
        model: a model with mixtures of experts.
        statistics: those of `mixture_statistics(model, batches, moments=True)`.
        gradients: those of `output_gradients`, on the same data.
        keep: the fraction of all neurons that stays.

    Returns:
        How many stayed of each expert, by mixture.

    Raises:
        ModelError: a fraction that is none, statistics of another model or without moments, packed weights, adapters
            around experts. Nothing changes.

    Example: `mask_atoms(mixtral, statistics, output_gradients(mixtral, batches, loss), keep=0.75)`.
    """
    if not 0 < keep <= 1:
        raise ModelError(f"keep={keep} as a fraction of the neurons must lie in (0, 1]")
    mixtures = changeable_mixtures(model, weights=True)
    check_statistics(mixtures, statistics)
    packed = next(packed_weights(model), None)
    if packed is not None:
        raise ModelError(f"{packed[0]} is quantised: take neurons out before that, or `dequantise(model)` first")
    scores: list[list[Tensor]] = []
    for mixture, seen, gradients_NDD in zip(mixtures, statistics, gradients, strict=True):
        scores.append(atom_scores(mixture.experts, seen, gradients_NDD))
    everything = torch.cat([one for layer in scores for one in layer])
    gone = torch.zeros(len(everything), dtype=torch.bool)
    gone[everything.argsort(stable=True)[: len(everything) - round(keep * len(everything))]] = True
    sizes = [len(one) for layer in scores for one in layer]
    parts = iter(gone.split(sizes))
    found: list[MaskedAtoms] = []
    for mixture in mixtures:
        gone_of = [next(parts) for _ in range(mixture.experts.num_experts)]
        for expert, gone_F in enumerate(gone_of):
            _mask(mixture.experts, expert, gone_F)
        kept = tuple(int((~gone_F).sum()) for gone_F in gone_of)
        found.append(MaskedAtoms(mixture.path, kept, max(map(len, gone_of))))
    return found


def _mask(experts: Experts, expert: int, gone_F: Tensor) -> None:
    own = experts.weights(expert)
    gone_F = gone_F.to(own.down.device)
    own.down[:, gone_F] = 0
    own.up[gone_F] = 0
    if own.gate is not None:
        own.gate[gone_F] = 0


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """While it is open, no parameter asks for a gradient, so that none is kept."""
    before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)


Call = tuple[int, Tensor, Tensor, Tensor]
"""The place of a mixture, index and weight (T, K) of its choices, and its output, which keeps its gradient."""


@contextmanager
def _watched(mixtures: Sequence[Mixture]) -> Iterator[list[Call]]:
    """Note each call of the experts of each mixture, while this is open."""
    calls: list[Call] = []
    hooks: list[Any] = []

    def watch(place: int) -> Callable[..., None]:
        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
            _, index, weight = (*args, *kwargs.values())
            if output.requires_grad:
                output.retain_grad()
            else:
                output.requires_grad_()  # the first one that does: nothing before it asks for a gradient
            calls.append((place, index.detach().flatten(0, -2), weight.detach().flatten(0, -2), output))

        return note

    try:
        for place, mixture in enumerate(mixtures):
            if mixture.experts.module is None:
                named = f"the experts of {mixture.path}"
                raise ModelError(f"{named} are not called with (x, index, weight): nothing to watch")
            hooks.append(mixture.experts.module.get().register_forward_hook(watch(place), with_kwargs=True))
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
