"""GIST's token: one learned token among those of an image, which learns the task beside the class token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Anatomy, Site
from ...errors import ModelError
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..sites import AddsTokens
from .prompts import PromptConfig, PromptLayer

BOUND = 0.5


@dataclass(frozen=True, kw_only=True)
class GistTokenConfig(PromptConfig):
    """One token that enters before the first of the blocks and leaves after the last: d parameters.

    GIST (Ruan et al., arXiv 2312.07255): after the final norm, the head of the model reads it as it reads the class
    token, and both learn from each other (`models/distillation/token_distillation.py`). `leaving_tokens` gives what it
    has become; inference does not need that, but keeps the token, which the others look at. It starts as U(-0.5, 0.5),
    with the dropout of the release. Where a model averages over its tokens, it is not among them. Attach it before
    adapters on the residual stream.
    """

    length: int = 1
    depth: Any = "shallow"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length != 1 or self.depth != "shallow":
            raise ModelError(f"length={self.length}, depth={self.depth!r}: the token of GIST is one, and goes through")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """As prompts, but with its own start and an exit that can be watched."""
        for site, layer in super().place(anatomy, generator):
            assert isinstance(layer, PromptLayer)
            token = None
            if layer.prompts is not None:
                like = next(site.get().parameters())
                drawn = torch.empty(1, anatomy.width).uniform_(-BOUND, BOUND, generator=generator)
                token = nn.Parameter(drawn.to(like.device, adapter_dtype(like)))
            yield site, GistTokenLayer(layer.base_layer, token, self.dropout, layer.start, layer.off)


class GistTokenLayer(AddsTokens):
    """A block before which the token (1, d) enters, or after which it leaves by way of `exit`."""

    def __init__(self, base_layer: nn.Module, token: nn.Parameter | None, dropout: float, start: int, off: int) -> None:
        super().__init__(base_layer)
        self.token = token
        self.dropout = dropout
        self.start = start
        self.off = off
        self.exit = nn.Identity()

    def adapted(self, x_BTD: Tensor, *args: Any, **keywords: Any) -> Tensor:
        """The output of `base_layer` for tokens (batch, tokens, d) among which the token is."""
        start = self.start
        if self.token is not None:
            token_B1D = self.token.to(x_BTD.dtype).expand(len(x_BTD), -1, -1)
            token_B1D = F.dropout(token_B1D, self.dropout, self.training)
            x_BTD = torch.cat((x_BTD[:, :start], token_B1D, x_BTD[:, start:]), dim=1)
        x_BTD = self.base_layer(x_BTD, *args, **keywords)
        if self.off == 0:
            return x_BTD
        end = start + self.off
        self.exit(x_BTD[:, start:end])
        return torch.cat((x_BTD[:, :start], x_BTD[:, end:]), dim=1)


@contextmanager
def leaving_tokens(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collects, for each forward pass of `model`, its token (batch, 1, d) as it leaves the last block.

        with leaving_tokens(model) as tokens:
            logits = model(images)

    Raises `ModelError` where the model has no such token.
    """
    exits = [layer.exit for layer in model.modules() if isinstance(layer, GistTokenLayer) and layer.off]
    if not exits:
        raise ModelError(f"{type(model).__name__} has no token of GIST: attach GistTokenConfig")
    found: list[Tensor] = []

    def keep(module: nn.Module, given: object, token: Tensor) -> None:
        found.append(token)

    handles = [out.register_forward_hook(keep) for out in exits]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
