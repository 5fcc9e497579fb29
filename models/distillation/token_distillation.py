"""GIST: one more token whose logits learn with those of the model, without a second model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..anatomy import describe
from ..errors import ModelError
from .terms import aligned, divergence


@dataclass(frozen=True, kw_only=True)
class TokenDistillation:
    """CE(z, y) + token_weight CE(g, y) + weight (KL(g || z) + KL(z || g)), g the logits of the token, at temperature T.

    The loss of GIST (Ruan et al., arXiv 2312.07255) with the values of its release, where no factor T² comes in and
    nothing is detached. Raises `ModelError` for values that cannot be.
    """

    weight: float = 0.75
    """Factor of each of the two divergences."""
    temperature: float = 3.0
    t2: bool = False
    """Multiply the divergences by T²."""
    token_weight: float = 0.5
    """Factor of the token's own loss."""

    def __post_init__(self) -> None:
        for name in ("weight", "token_weight"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise ModelError(f"{name}={value} must be a number from 0 on")
        if not math.isfinite(self.temperature) or self.temperature <= 0:
            raise ModelError(f"temperature={self.temperature} must be above 0")

    def term(self, logits: Tensor, token: Tensor) -> Tensor:
        """Both divergences, weighted, a scalar.

        Args:
            logits: those of the model (..., C).
            token: those of the token, of the same shape.

        Raises:
            ModelError: two shapes.
        """
        logits_NC, token_NC = aligned(logits, token)
        if logits_NC.shape[-1] < 2:
            raise ModelError("divergences compare distributions over classes, and there is one column")
        there = divergence(logits_NC, token_NC, self.temperature, t2=self.t2)
        back = divergence(token_NC, logits_NC, self.temperature, t2=self.t2)
        return self.weight * (there + back)


def token_logits(model: nn.Module, tokens: Sequence[Tensor]) -> Tensor:
    """What the head of a model says of the one token that `leaving_tokens` saw after its blocks.

    The final norm and the head are those of the model, as the class token gets them.

    Args:
        model: the model that was run inside `leaving_tokens`.
        tokens: what that gave: one tensor (B, 1, D).

    Returns:
        Logits (B, C).

    Raises:
        ModelError: there was not just one such token, or the model has no head.
    """
    if len(tokens) != 1 or tokens[0].shape[1] != 1:
        raise ModelError(
            f"{[tuple(token.shape) for token in tokens]} are no one token of each example: attach GistTokenConfig, and "
            "run the model once inside leaving_tokens()"
        )
    anatomy = describe(model)
    token_BD = tokens[0][:, 0]
    if anatomy.final_norm is not None:
        token_BD = anatomy.final_norm.get()(token_BD)
    if anatomy.head is None:
        raise ModelError(f"{type(model).__name__} has no head that could read the token")
    head = anatomy.head.get()
    return head(token_BD.to(_dtype_for(head)))


def _dtype_for(head: nn.Module) -> torch.dtype:
    """The dtype of a head's weight; under autocast its input is cast by itself."""
    return next(head.parameters()).dtype
