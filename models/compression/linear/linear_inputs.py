"""What enters linear maps while a model runs: real tokens only, of an expert only those that chose it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from .linear_map import Source

# Shapes: B rows of a batch, L tokens of a row, T = B * L tokens, K chosen experts, R tokens of one expert, I inputs.

Take = Callable[[Source, Tensor, Tensor | None], None]
"""take(source, x, gate): inputs (R, I) in float32 or better, and the router's weight (R,) of each; None where no router
weighs the tokens."""
Mask = Callable[[], Tensor | None]
"""Which tokens of the call that is running are real (B, L); None: all."""


@contextmanager
def watch_inputs(sources: Iterable[Source], take: Take, mask: Mask) -> Iterator[None]:
    """Call `take` with the inputs of each source in each call of its module, until the context closes.

    Raises `ModelError`, out of the model's forward pass, for inputs that are NaN or infinite, and for a mask that does
    not fit the tokens.

        with watch_inputs({one.source for one in maps}, take, lambda: None):
            model(**batch)
    """
    hooks = []
    try:
        for watched in _by_module(sources):
            hook = partial(_called, watched, take, mask)
            hooks.append(watched[0].site.get().register_forward_pre_hook(hook, with_kwargs=True))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _by_module(sources: Iterable[Source]) -> list[list[Source]]:
    """Sources of one module together, so that the tokens of an expert are picked once."""
    modules: dict[int, list[Source]] = {}
    for source in sources:
        modules.setdefault(id(source.site.get()), []).append(source)
    return list(modules.values())


@torch.no_grad()
def _called(
    sources: list[Source], take: Take, mask: Mask, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    values = (*args, *kwargs.values())
    real_T = _real(mask(), values[0], sources[0])
    x_TD = values[0].detach().flatten(0, -2)
    if real_T is not None:
        x_TD = x_TD[real_T]
    if sources[0].expert is None:
        for source in sources:
            _give(source, take, x_TD, None)
        return
    index_TK, weight_TK = (value.detach().flatten(0, -2) for value in values[1:3])
    if real_T is not None:
        index_TK = index_TK[real_T]
        weight_TK = weight_TK[real_T]
    for expert, inner in _by_expert(sources).items():
        # Once for each token, also where several rows of a router stand for one merged expert. A weight of 0 means that
        # the expert adds nothing: so are tokens passed whose expert was dropped.
        gate_T = weight_TK.masked_fill(index_TK != expert, 0).sum(-1)
        (token_R,) = gate_T.nonzero(as_tuple=True)
        x_RD = x_TD[token_R]
        gate_R = gate_T[token_R]
        for source in inner:
            _give(source, take, x_RD, gate_R)


def _by_expert(sources: Iterable[Source]) -> dict[int, list[Source]]:
    experts: dict[int, list[Source]] = {}
    for source in sources:
        assert source.expert is not None
        experts.setdefault(source.expert, []).append(source)
    return experts


def _real(mask: Tensor | None, x: Tensor, source: Source) -> Tensor | None:
    """Which of the T tokens are real (T,), whether they lie in rows or one after another; None: all are."""
    if mask is None or mask.all():
        return None
    if mask.numel() != x.shape[:-1].numel():
        raise ModelError(
            f"a token mask of shape {tuple(mask.shape)} does not say which of the inputs of {source.name}, of shape "
            f"{tuple(x.shape)}, are real: pass batches without padding"
        )
    return mask.flatten().to(x.device, torch.bool)


def _give(source: Source, take: Take, x: Tensor, gate: Tensor | None) -> None:
    if not len(x):
        return
    if source.inside is not None:
        x = source.inside(x)
    if not x.isfinite().all():
        raise ModelError(
            f"the inputs of {source.name} are NaN or infinite on the calibration data: nothing can be learnt from them"
        )
    precise = torch.promote_types(x.dtype, torch.float32)
    take(source, x.to(precise), None if gate is None else gate.to(precise))
