"""Hooks of one mixture: which experts its tokens go to, with what weight, and what each expert gives by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import MLP, Experts
from ..errors import ModelError

# Shapes: T tokens, D width, N routed experts, K chosen experts, P pairs of a token and an expert.

PAIRS = 16384
"""Pairs of a token and an expert that are computed at once."""


@dataclass(frozen=True)
class ExpertCall:
    """One call of the experts of a mixture, real tokens only.

    `x` (T, D): what the experts get. `index`, `weight` (T, K): the chosen ones; an index of N stands for none, and so
    it is here where the weight is 0. `logits` (T, N): those of the router in float32 or better; None where it gives
    none for these experts.
    """

    x: Tensor
    index: Tensor
    weight: Tensor
    logits: Tensor | None


@contextmanager
def expert_calls(mlp: MLP, mask: Callable[[], Tensor], take: Callable[[ExpertCall], None]) -> Iterator[None]:
    """Hand on each call of the experts of a mixture, while this is open.

    Args:
        mlp: the mixture.
        mask: gives which tokens of the call are real: bool, as many as tokens.
        take: gets the calls.

    Yields:
        Nothing.

    Raises:
        ModelError: an FFN that is no mixture, and experts that are not called with (x, index, weight).
    """
    experts = routed(mlp)
    watch = _Watch(mlp.site.path, experts.num_experts, mask, take)
    assert experts.module is not None
    hooks = [
        experts.router.get().register_forward_hook(watch.router_gave),
        experts.module.get().register_forward_pre_hook(watch.experts_got, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def routed(mlp: MLP) -> Experts:
    """The experts of a mixture.

    Raises:
        ModelError: as `expert_calls` does.
    """
    if mlp.experts is None:
        raise ModelError(f"{mlp.site.path} is of kind {mlp.kind!r}: it has no experts")
    if mlp.experts.module is None:
        raise ModelError(f"the experts of {mlp.site.path} are not called with (x, index, weight): nothing to watch")
    return mlp.experts


class _Watch:
    def __init__(self, path: str, experts: int, mask: Callable[[], Tensor], take: Callable[[ExpertCall], None]) -> None:
        self.path = path
        self.experts = experts
        self.mask = mask
        self.take = take
        self.logits: Tensor | None = None

    def router_gave(self, module: nn.Module, args: object, output: object) -> None:
        """Keep the logits: routers of our own name them, those of transformers return them first."""
        logits = getattr(output, "logits", output)
        if isinstance(logits, tuple):
            logits = logits[0]
        self.logits = None
        if isinstance(logits, Tensor) and logits.shape[-1] == self.experts:
            self.logits = logits.detach().flatten(0, -2)

    def experts_got(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hand on what the real tokens bring."""
        x, index, weight = (*args, *kwargs.values())
        logits, self.logits = self.logits, None
        x_TD = x.detach().flatten(0, -2)
        real_T = self.mask().flatten()
        if len(real_T) != len(x_TD):
            raise ModelError(f"a mask of {len(real_T)} tokens does not fit the {len(x_TD)} tokens of {self.path}")
        if logits is not None:
            logits = logits[real_T].to(torch.promote_types(logits.dtype, torch.float32))
        weight_TK = weight.detach().flatten(0, -2)
        index_TK = index.detach().flatten(0, -2).masked_fill(weight_TK == 0, self.experts)
        self.take(ExpertCall(x_TD[real_T], index_TK[real_T], weight_TK[real_T], logits))


def expert_outputs(experts: Experts, x_TD: Tensor, token_P: Tensor, expert_P: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """What each expert of the pairs gives for its token, without a weight: parts of the pairs and (part, D) outputs.

    The module of the experts is asked, with one expert a row and a weight of 1, so that any layout and activation is
    what it is in the model. Sort the pairs by expert.
    """
    assert experts.module is not None
    module: nn.Module = experts.module.get()
    for start in range(0, len(token_P), PAIRS):
        part = slice(start, min(start + PAIRS, len(token_P)))
        rows_PD = x_TD[token_P[part]]
        ones_P1 = rows_PD.new_ones(len(rows_PD), 1)
        # Not through the hooks on the module: those are there for the calls of the model.
        yield part, module.forward(rows_PD, expert_P[part].unsqueeze(1), ones_P1)
