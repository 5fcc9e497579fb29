"""Agreement of routers: how many of the experts that one choice names another one names too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .choices import Routing
from .recomputation import recomputing
from .statistics import Routed

# Shapes: T tokens, N routed experts, K chosen experts.


def kept_choices(index_TK: Tensor, other_TK: Tensor, experts: int) -> Tensor:
    """How many of the experts of each token are among those that it has by another choice.

    Args:
        index_TK: the experts of each token (T, K), each one at most once; N stands for none.
        other_TK: the same of the other choice, for the same tokens.
        experts: N.

    Returns:
        From 0 to K, (T,). By chance it is K^2 / N on average.

    Raises:
        ValueError: choices of unlike shapes.

    Example::

        kept_choices(torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1, 0], [3, 0]]), 4)  # 2, 1
    """
    if index_TK.shape != other_TK.shape:
        raise ValueError(f"choices of {tuple(index_TK.shape)} and {tuple(other_TK.shape)} are not of the same tokens")
    same_TKK = index_TK.unsqueeze(-1) == other_TK.unsqueeze(-2)
    return (same_TKK & (index_TK < experts).unsqueeze(-1)).sum((-2, -1))


class NoiseCount:
    """What `noise_watch` gives: `kept` of `choices` that were made with noise are what the router chooses without."""

    def __init__(self) -> None:
        self.kept = 0
        self.choices = 0

    @torch.no_grad()
    def add(self, routing: Routing) -> None:
        """Count one call of a router; one without noise does not count."""
        if routing.noisy is None or recomputing():
            return
        tokens, experts = routing.logits.shape
        k = routing.index.shape[-1]
        if k == experts:
            return
        clean_TK = routing.logits.topk(k, dim=-1).indices
        self.kept += int(kept_choices(routing.index, clean_TK, experts).sum())
        self.choices += tokens * k


@contextmanager
def noise_watch(model: nn.Module) -> Iterator[NoiseCount]:
    """Count how many choices of a model in training would be the same without noise, until the context closes.

    Nothing is drawn and nothing changed. Padding counts as well. Routers whose experts all work on every token do not
    count, nor do passes that recompute activations.

    Args:
        model: a converted model; others have no noise.

    Yields:
        The counts, over all routers.

    Example::

        with noise_watch(model) as seen:
            model.train()(**batch)
        seen.kept / seen.choices  # K / N where the noise alone decides
    """
    found = NoiseCount()

    def routed(module: nn.Module, args: object, output: object) -> None:
        if isinstance(output, Routing):
            found.add(output)

    hooks = [module.router.register_forward_hook(routed) for module in model.modules() if isinstance(module, Routed)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
