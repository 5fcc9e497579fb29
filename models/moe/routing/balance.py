"""Load balance: auxiliary losses on the router, and the capacity of experts."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .choices import Routing
from .config import RoutingConfig
from .counts import counts, cv_squared, importance
from .global_sums import ALL, Together
from .picks import picks
from .recomputation import refuse_reentrant
from .router import Router

# Shapes: T tokens, N routed experts, K chosen experts, S = T * K choices. T are the tokens of this process, but each
# loss is a function of sums over tokens, which run over all processes that train together (`global_sums.py`).


def balance_in_training(
    config: RoutingConfig, router: Router, routing: Routing, real_T: Tensor | None = None
) -> Tensor:
    """What a training pass does for balance: counts the choices where a bias balances, and returns `balance_loss`.

    Only the tokens of `real_T` (bool) count; None: all.
    """
    if config.has_loss and not router.attached:
        refuse_reentrant()
    if real_T is not None and not torch.compiler.is_compiling():
        routing = routing.of(real_T)
        real_T = None  # in a graph padding stays, whose tensors may not have sizes that depend on the mask
    router.count(_counted(routing, real_T).index)
    return balance_loss(config, routing, router.together, real_T)


def balance_loss(
    config: RoutingConfig, routing: Routing, together: Together = ALL, real_T: Tensor | None = None
) -> Tensor:
    """The auxiliary losses of one layer on one batch, coefficients included; 0 when there are none or T is 0.

    - "cv2": CV^2(importance) + CV^2(load) (Shazeer et al., arXiv 1701.06538; LLaMA-MoE v1).
    - "switch": N * sum_e f_e P_e, with f_e the picks of expert e per token and P_e its mean probability (Switch
      Transformers, arXiv 2101.03961, for k picks); k when both are uniform.
    - `z_coef`: mean over tokens of the squared logsumexp of the logits, free of noise, which keeps them small (ST-MoE,
      arXiv 2202.08906, equation 5), in addition.

    `faithful` puts the formulas of the authors' code in their place: `smooth_load` with `faithful=True`, and
    the Switch loss of LLaMA-MoE v2, whose softmax is over the chosen logits, so that its mean is 1 / k: the value is
    N / k whatever the router does, and the gradient is 0.

    The gradient is that of the tokens of all processes of `together`, the value too once the backward pass has been
    here (`Together.loss`).

    `real_T`: which tokens count (bool); None: all.
    """
    if not config.has_loss or (len(routing.logits) == 0 and not together.several()):
        return routing.logits.new_zeros(())
    return together.loss(partial(_of_sums, config, routing.index.shape[1]), *_sums(config, routing, real_T))


def _sums(config: RoutingConfig, routing: Routing, real_T: Tensor | None) -> list[Tensor]:
    """The sums over tokens that `balance_loss` is a function of, those of each term in turn."""
    sums = []
    counted = _counted(routing, real_T)
    if config.balance == "cv2":
        sums += [importance(counted), smooth_load(routing, real_T, faithful=config.faithful)]
    elif config.balance == "switch" and config.faithful:
        chosen_TK = routing.logits.gather(1, routing.index).softmax(-1)
        sums += [counts(counted), _total(chosen_TK.mean(-1), real_T), _tokens(routing, real_T)]
    elif config.balance == "switch":
        mass_N = _total(_probability(routing, sigmoid=config.score == "sigmoid"), real_T)
        sums += [counts(counted), mass_N, _tokens(routing, real_T)]
    if config.z_coef > 0:
        sums += [_total(routing.logits.logsumexp(-1).square(), real_T), _tokens(routing, real_T)]
    return sums


def _of_sums(config: RoutingConfig, k: int, *sums: Tensor) -> Tensor:
    """`balance_loss` as that function."""
    left = list(sums)
    loss = left[0].new_zeros(())
    if config.balance == "cv2":
        importance_N, load_N, *left = left
        loss = loss + config.balance_coef * (cv_squared(importance_N) + cv_squared(load_N))
    elif config.balance == "switch":
        picks_N, mass, tokens, *left = left
        tokens = tokens.clamp_min(1)
        of = tokens * k if config.faithful else tokens
        loss = loss + config.balance_coef * (len(picks_N) * (picks_N / of * (mass / tokens)).sum())
    if config.z_coef > 0:
        square, tokens = left
        loss = loss + config.z_coef * (square / tokens.clamp_min(1))
    return loss


def _probability(routing: Routing, *, sigmoid: bool) -> Tensor:
    """(T, N) the softmax of the logits, noise included, or their sigmoids divided by their sum."""
    logits_TN = routing.logits if routing.noisy is None else routing.noisy
    if not sigmoid:
        return logits_TN.softmax(-1)
    size_TN = logits_TN.sigmoid()
    return size_TN / size_TN.sum(-1, keepdim=True)


def smooth_load(routing: Routing, real_T: Tensor | None = None, *, faithful: bool = False) -> Tensor:
    """Expected number of tokens of each expert if its own noise were drawn again (N,); `counts` without noise.

    P(expert e of a token is chosen) = Phi((logit_e - t_e) / std_e), where t_e is the k-th greatest noisy logit of the
    other experts (arXiv 1701.06538, equations 8 and 9). The sum over experts is k T on average. `faithful` takes the
    other of the two possible thresholds where the noise alone, without the logit, says so, as the code of LLaMA-MoE
    v1 does: the sum is then off. `real_T` is as in `balance_loss`.
    """
    k = routing.index.shape[1]
    experts = routing.logits.shape[1]
    if routing.noisy is None or routing.std is None or k == experts:
        return counts(_counted(routing, real_T))
    best = routing.noisy.topk(k + 1, dim=-1).values
    # The k-th greatest of the others: for a chosen expert that is the (k+1)-th of all, for another the k-th of all.
    if_chosen_T1 = best[:, k, None]
    if_not_T1 = best[:, k - 1, None]
    compared_TN = routing.noisy
    if faithful:
        compared_TN = routing.noisy - routing.logits
    threshold_TN = torch.where(compared_TN > if_chosen_T1, if_chosen_T1, if_not_T1)
    return _total(torch.special.ndtr((routing.logits - threshold_TN) / routing.std), real_T)


def _counted(routing: Routing, real_T: Tensor | None) -> Routing:
    """The routing whose tokens that do not count have no expert."""
    return routing if real_T is None else routing.sent_nowhere(~real_T)


def _total(rows: Tensor, real_T: Tensor | None) -> Tensor:
    """The sum over the tokens (T, ...) that count."""
    if real_T is not None:
        rows = rows.where(real_T.view(-1, *[1] * (rows.dim() - 1)), 0)
    return rows.sum(0)


def _tokens(routing: Routing, real_T: Tensor | None) -> Tensor:
    """How many tokens count, as a tensor that can be summed over processes."""
    if real_T is not None:
        return real_T.sum().to(routing.logits.dtype)
    return routing.logits.new_full((), len(routing.logits))


def within_capacity(routing: Routing, capacity: float, real_T: Tensor | None = None) -> Routing:
    """Drop what exceeds ceil(capacity * T * K / N) tokens per expert: index N and weight 0.

    First choices come before second ones, earlier tokens before later ones. Only the tokens of `real_T` (bool) count
    and queue; the others, padding, are dropped.
    """
    tokens, k = routing.index.shape
    experts = routing.logits.shape[1]
    routing = _counted(routing, real_T)
    real = routing.index.new_tensor(tokens) if real_T is None else real_T.sum()
    limit = (capacity * real.double() * k / experts).ceil()
    # Transposed, the choices stand in the order in which they are served: all first choices, then all second ones.
    choice_S = routing.index.T.flatten()
    dropped_S = places_in_queues(choice_S, experts) >= limit
    return routing.sent_nowhere(dropped_S.view(k, tokens).T)


def places_in_queues(choice_S: Tensor, experts: int) -> Tensor:
    """How many earlier entries chose the same expert as each entry (S,): its place in that expert's queue, from 0."""
    # A stable sort puts the queues one behind the other, each in its order. An entry's place in its queue is its
    # place in the whole less the place where its queue starts.
    order_S = choice_S.argsort(stable=True)
    sizes_N = picks(choice_S, experts + 1)
    starts_N = sizes_N.cumsum(0) - sizes_N
    place_S = torch.empty_like(order_S)
    place_S[order_S] = torch.arange(len(order_S), device=order_S.device) - starts_N[choice_S[order_S]]
    return place_S
