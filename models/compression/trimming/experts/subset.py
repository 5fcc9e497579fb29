"""The set of experts whose mixture gives back its own output best, of all sets of a size (NAEE, arXiv 2402.14800).

Each mixture by itself, on what enters it in the whole model: for every set S of experts that may stay, a token goes to
the experts that the router likes best among S, with the weights that it gives them, and the error of S is the sum over
tokens of |y_S(x) - y(x)|^2. With the products of the outputs of all experts for a token, E_i(x) E_j(x), a set costs no
run of an expert. There are N over k sets: for mixtures of up to 16 experts or so, as in the paper, which has 8.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ....anatomy import Experts
from ....calibration.by_block import BlockPass, by_block
from ....calibration.expert_calls import ExpertCall, expert_calls, expert_outputs
from ....counting import stored_bytes
from ....errors import ModelError
from .budgets import Keep, numbers_kept
from .drop import DroppedExperts, ExpertDropReport
from .mixtures import Mixture, changeable_mixtures
from .saved_form import note_trimmed

# Shapes: T tokens, N routed experts, K chosen experts, D width.

Form = Literal["chosen", "all", "equal"]
"""How a router weighs what it chose: by a softmax over that, by one over all experts, or equally."""
MOST = 20_000
"""Sets of a mixture that may be tried: 16 over 8 are 12,870."""


@dataclass
class _Seen:
    """One mixture: the logits of its tokens (T, N), products of its experts' outputs (T, N, N), and the choices."""

    logits: list[Tensor] = field(default_factory=list)
    products: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)


def keep_best_subsets(
    model: nn.Module, batches: Iterable[object], keep: Keep, *, most: int = MOST
) -> tuple[ExpertDropReport, tuple[float, ...]]:
    """Keep the experts of each mixture that rebuild its output best, in place; the others leave with their rows.

    Args:
        model: a model with mixtures of experts, whose routers take the best of a softmax.
        batches: calibration data.
        keep: experts that stay: a number of each mixture (int), a fraction of each (float), or one number for each.
        most: sets of a mixture that may be tried.

    Returns:
        Which experts stayed, and of each mixture the squared error of its output over the square of that output.

    Raises:
        ModelError: more sets than `most`, routers of another form or behind a table, numbers that cannot be kept,
            adapters around experts. Nothing changes.

    Example: `keep_best_subsets(mixtral, batches, keep=6)`.
    """
    mixtures = changeable_mixtures(model)
    numbers = numbers_kept([mixture.experts for mixture in mixtures], keep)
    for mixture, number in zip(mixtures, numbers, strict=True):
        _check(mixture, number, most)
    chosen: list[tuple[int, ...]] = []
    errors: list[float] = []
    counts: list[list[int]] = []
    steps = by_block(model, batches, [mixture.block.index for mixture in mixtures])
    for mixture, number, step in zip(mixtures, numbers, steps, strict=True):
        logits_TN, products_TNN, weights_TN = _look(mixture, step)
        best, error = best_subset(logits_TN, products_TNN, weights_TN, number, mixture.experts.top_k)
        whole = torch.einsum("tn,tnm,tm->", weights_TN, products_TNN, weights_TN).item()
        chosen.append(best)
        errors.append(error / whole if whole > 0 else 0.0)
        counts.append((weights_TN > 0).sum(0).tolist())
    before = stored_bytes(model)
    layers: list[DroppedExperts] = []
    for mixture, kept, seen in zip(mixtures, chosen, counts, strict=True):
        dropped = sorted(set(range(mixture.experts.num_experts)) - set(kept))
        unseen = tuple(expert for expert, count in enumerate(seen) if count == 0)
        layers.append(DroppedExperts(mixture.path, kept, tuple(dropped), unseen))
        if dropped:
            mixture.experts.keep(kept)
    note_trimmed(model)
    return ExpertDropReport(tuple(layers), before, stored_bytes(model)), tuple(errors)


def best_subset(
    logits_TN: Tensor, products_TNN: Tensor, weights_TN: Tensor, number: int, top_k: int
) -> tuple[tuple[int, ...], float]:
    """The best set of experts of one mixture.

    Args:
        logits_TN: of the router.
        products_TNN: of the outputs of each two experts for a token.
        weights_TN: those of the whole mixture, 0 for experts that a token did not choose; they say how the router
            weighs what it chose.
        number: experts of a set.
        top_k: experts that a token chooses.

    Returns:
        The set, of equal ones the first, and its squared error, summed over tokens.

    Raises:
        ModelError: weights that are neither equal nor a softmax over all logits or those of the chosen experts.
    """
    # By rank: the experts that a token would choose are then the first ones that are in the set.
    order_TN = logits_TN.argsort(dim=1, descending=True, stable=True)
    logits_TN = logits_TN.gather(1, order_TN)
    weights_TN = weights_TN.gather(1, order_TN)
    products_TNN = products_TNN.gather(1, order_TN.unsqueeze(2).expand_as(products_TNN))
    products_TNN = products_TNN.gather(2, order_TN.unsqueeze(1).expand_as(products_TNN))
    form, factor = _form(logits_TN, weights_TN, top_k)
    best: tuple[int, ...] = ()
    least = math.inf
    for subset in itertools.combinations(range(logits_TN.shape[1]), number):
        inside_N = torch.zeros(logits_TN.shape[1], dtype=torch.bool)
        inside_N[list(subset)] = True
        change_TN = factor * _weights(logits_TN, inside_N[order_TN], top_k, form) - weights_TN
        error = (torch.bmm(products_TNN, change_TN.unsqueeze(2)).squeeze(2) * change_TN).sum(dtype=torch.float64).item()
        if error < least:
            best, least = subset, error
    return best, max(0.0, least)


def _weights(logits_TN: Tensor, inside_TN: Tensor, top_k: int, form: Form) -> Tensor:
    """The weights (T, N) that a router of these rows gives, the columns sorted by logits."""
    taken_TN = inside_TN & (inside_TN.cumsum(1) <= top_k)
    weights_TN = logits_TN.masked_fill(~inside_TN, -math.inf).softmax(1) * taken_TN
    if form == "all":
        return weights_TN
    if form == "equal":
        weights_TN = taken_TN.to(logits_TN.dtype)
    return weights_TN / weights_TN.sum(1, keepdim=True)


def _form(logits_TN: Tensor, weights_TN: Tensor, top_k: int) -> tuple[Form, float]:
    """How the router weighs what it chose, and what it multiplies all weights with; the columns sorted by logits.

    Raises `ModelError` for a router of another form.
    """
    everyone_TN = torch.ones_like(logits_TN, dtype=torch.bool)
    errors: dict[Form, tuple[float, float]] = {}
    for form in get_args(Form):
        found_TN = _weights(logits_TN, everyone_TN, top_k, form)
        factor = (weights_TN.sum() / found_TN.sum()).item()
        errors[form] = ((factor * found_TN - weights_TN).abs().amax(1).median().item() / factor, factor)
    form = min(errors, key=lambda form: errors[form][0])
    # Weights are made in the model's type: of bfloat16 they have 8 bits.
    if errors[form][0] > 1e-2:
        raise ModelError("the weights of the router are no softmax of its logits, of all or of those that it chose")
    return form, errors[form][1]


def _check(mixture: Mixture, number: int, most: int) -> None:
    experts = mixture.experts
    sets = math.comb(experts.num_experts, number)
    if sets > most:
        raise ModelError(
            f"{mixture.path}: {experts.num_experts} experts have {sets} sets of {number}, more than {most}: rank them "
            "by a score"
        )
    if experts.groups > 1 or experts.table is not None or not experts.softmax:
        raise ModelError(f"{mixture.path}: the router does not take the best of one softmax over all experts")


def _look(mixture: Mixture, step: BlockPass) -> tuple[Tensor, Tensor, Tensor]:
    """Run a block; logits (T, N), products (T, N, N) and weights (T, N) of all real tokens, in float32 or better."""
    seen = _Seen()

    def take(call: ExpertCall) -> None:
        if call.logits is None:
            raise ModelError(f"the router of {mixture.path} gives no logits for its experts")
        outputs_TND = _all_outputs(mixture.experts, call.x)
        seen.logits.append(call.logits)
        seen.products.append(outputs_TND @ outputs_TND.mT)
        chosen_TN = call.logits.new_zeros(len(call.x), mixture.experts.num_experts + 1)
        chosen_TN.scatter_(1, call.index, call.weight.to(chosen_TN.dtype))
        seen.weights.append(chosen_TN[:, :-1])

    with expert_calls(mixture.mlp, lambda: step.mask, take):
        step.run(final=True)
    return torch.cat(seen.logits), torch.cat(seen.products), torch.cat(seen.weights)


def _all_outputs(experts: Experts, x_TD: Tensor) -> Tensor:
    """What each expert gives for each token, without a weight (T, N, D)."""
    token_T = torch.arange(len(x_TD), device=x_TD.device)
    found: list[Tensor] = []
    for expert in range(experts.num_experts):
        calls = expert_outputs(experts, x_TD, token_T, torch.full_like(token_T, expert))
        outputs_TD = torch.cat([output for _, output in calls])
        found.append(outputs_TD.to(torch.promote_types(outputs_TD.dtype, torch.float32)))
    return torch.stack(found, dim=1)
