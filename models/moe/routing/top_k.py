"""How many experts a token gets, changed at run time: one number for all layers, or one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from ...anatomy import MLP, Experts, describe, tell_counts
from ...errors import ModelError
from .config import RoutingConfig

FOLLOWING = ("exact", "paper", "norm")
"""Scales that are a function of k."""
COUNTS = ("top_k", "num_experts_per_tok", "num_experts", "num_local_experts", "n_routed_experts")
"""What `tell_counts` may write."""


def top_k_by_layer(model: nn.Module) -> list[int]:
    """Experts that a token chooses in each mixture of a model, converted or stock, in order.

    Args:
        model: a model whose anatomy is known.

    Raises:
        ModelError: no mixture.
    """
    return [experts.top_k for _, experts in _mixtures(model)]


def set_top_k(model: nn.Module, top_k: int | Sequence[int]) -> None:
    """Let every token choose so many experts from now on, in place; what saves the model writes it.

    A converted layer scales its output as its configuration would have it with this k: with "exact", each chosen expert
    has a mean coefficient of 1 again; a number, or a fit, stays. Stock routers renormalise, or not, as they did. A
    straight-through gradient, which is for k = 1, is off for others.

    Args:
        model: a model with mixtures, converted or stock.
        top_k: for all mixtures, or for each in order.

    Raises:
        ModelError: a number that a layer cannot have, not one for each, or different numbers in a stock mixture, whose
            configuration has one for all layers (to measure: `with_top_k`). Nothing changes.

    Example: `set_top_k(model, 1); export(model, "one-expert")`.
    """
    numbers = _checked(model, top_k)
    stock = [mlp.site.path for mlp, _ in _mixtures(model) if _own(mlp) is None]
    if stock and len(set(numbers)) > 1:
        raise ModelError(
            f"top_k={numbers} differs by layer, and {type(model).__name__} has one number for all layers in its "
            "configuration: what is saved would compute something else. with_top_k(model, numbers) measures it"
        )
    _write(model, numbers)


@contextmanager
def with_top_k(model: nn.Module, top_k: int | Sequence[int]) -> Iterator[None]:
    """Let every token choose so many experts while this is open; layers of stock mixtures may differ here.

    Args:
        model: a model with mixtures, converted or stock.
        top_k: for all mixtures, or for each in order.

    Yields:
        Nothing.

    Raises:
        ModelError: a number that a layer cannot have, or not one for each.
    """
    numbers = _checked(model, top_k)
    kept = _state(model)
    _write(model, numbers)
    try:
        yield
    finally:
        for holder, name, value in kept:
            setattr(holder, name, value)


def greedy_top_k(model: nn.Module, loss: Callable[[], float]) -> tuple[list[int], float, float]:
    """Numbers by layer of the same mean as the model's own, by exchanges between layers: one expert less, one more.

    The loss with one expert less, and with one more, in each layer alone ranks them; then the layer that loses least
    gives to the one that gains most, and so on, as many pairs as lower the loss most. 3 L evaluations at the most for L
    layers; never worse than the model as it is, by this loss.

    Args:
        model: a model with mixtures; it is as before afterwards.
        loss: of the model as it is when called, on data that no score is taken on.

    Returns:
        The numbers, their loss, and that of the model's own.
    """
    own = top_k_by_layer(model)
    most = [_most(experts) for _, experts in _mixtures(model)]

    def measured(numbers: list[int]) -> float:
        with with_top_k(model, numbers):
            return loss()

    def changed(place: int, by: int) -> float:
        return measured([k + by * (index == place) for index, k in enumerate(own)])

    givers = sorted((changed(place, -1), place) for place, k in enumerate(own) if k > 1)
    takers = sorted((changed(place, +1), place) for place, k in enumerate(own) if k < most[place])
    start = measured(own)
    best, best_loss = own, start
    numbers = list(own)
    used: set[int] = set()
    for _ in range(len(own) // 2):
        pair = _pair(givers, takers, used)
        if pair is None:
            break
        used |= set(pair)
        numbers[pair[0]] -= 1
        numbers[pair[1]] += 1
        found = measured(numbers)
        if found < best_loss:
            best, best_loss = list(numbers), found
    return best, best_loss, start


def _pair(
    givers: Sequence[tuple[float, int]], takers: Sequence[tuple[float, int]], used: set[int]
) -> tuple[int, int] | None:
    """The next layer that gives and the next, another one, that takes."""
    for _, giver in givers:
        for _, taker in takers:
            if giver != taker and not {giver, taker} & used:
                return giver, taker
    return None


def _mixtures(model: nn.Module) -> list[tuple[MLP, Experts]]:
    found = []
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            found.append((block.mlp, block.mlp.experts))
    if not found:
        raise ModelError(f"{type(model).__name__} has no mixture of experts")
    return found


def _most(experts: Experts) -> int:
    return experts.top_groups * experts.num_experts // experts.groups


def _checked(model: nn.Module, top_k: int | Sequence[int]) -> list[int]:
    mixtures = _mixtures(model)
    numbers = [top_k] * len(mixtures) if isinstance(top_k, int) else [int(k) for k in top_k]
    if len(numbers) != len(mixtures):
        raise ModelError(f"top_k={numbers} for {len(mixtures)} mixtures of experts")
    for k, (mlp, experts) in zip(numbers, mixtures, strict=True):
        if not 1 <= k <= _most(experts):
            raise ModelError(f"top_k={k} must lie in 1..{_most(experts)} at {mlp.site.path}")
    return numbers


def _own(mlp: MLP) -> Any:
    """The layer, if it is one of ours: with a configuration and a router that scales the weights."""
    layer = mlp.site.get()
    return layer if isinstance(getattr(layer, "config", None), RoutingConfig) else None


def _write(model: nn.Module, numbers: Sequence[int]) -> None:
    for k, (mlp, experts) in zip(numbers, _mixtures(model), strict=True):
        for holder in experts.holders:
            if len(set(numbers)) == 1 or not _of_whole(holder, model):
                tell_counts(holder, experts.num_experts, k)
        layer = _own(mlp)
        if layer is not None:
            _rescale(layer, k)


def _rescale(layer: Any, k: int) -> None:
    straight_through = layer.config.straight_through and k == 1
    layer.config = replace(layer.config, top_k=k, straight_through=straight_through)
    layer.router.top_k = k
    layer.router.straight_through = straight_through
    if layer.config.scale in FOLLOWING:
        layer.router.scale = layer.config.scale_value


def _state(model: nn.Module) -> list[tuple[Any, str, Any]]:
    """All that `_write` changes, to be put back."""
    kept: list[tuple[Any, str, Any]] = []
    for mlp, experts in _mixtures(model):
        for holder in experts.holders:
            kept += [(holder, name, getattr(holder, name)) for name in COUNTS if hasattr(holder, name)]
        layer = _own(mlp)
        if layer is not None:
            kept += [(layer, "config", layer.config)]
            kept += [(layer.router, name, getattr(layer.router, name)) for name in ("scale", "straight_through")]
    return kept


def _of_whole(holder: object, model: nn.Module) -> bool:
    """Whether a holder says it for all layers: the model, its body, and their configurations."""
    return not isinstance(holder, nn.Module) or holder is model or holder is getattr(model, "base_model", None)
