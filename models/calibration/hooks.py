"""What `calibrate` records with forward hooks: tokens of each FFN, and the examples that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import MLP
from .token_mask import real_tokens

# Shapes: B examples of a batch, L tokens of an example, T sampled tokens, D width, F hidden neurons.


@dataclass(frozen=True)
class FFNSample:
    """One FFN on T tokens, in the model's dtype.

    `x` (T, D): its input. `h` (T, F): input of its down projection. `dh` (T, F): derivative of the loss by h, or None.
    Of a mixture of K chosen experts, whose tokens have no neurons in common: F = 0, and `index`, `weight` (T, K) say
    which experts a token went to, and with what weight.
    """

    x: Tensor
    h: Tensor
    dh: Tensor | None = None
    index: Tensor | None = None
    weight: Tensor | None = None


@dataclass(frozen=True)
class Picker:
    """Which tokens of a batch are kept: those that `mask` (B, L) shows, and of these `rows` (None: all)."""

    mask: Tensor | None
    rows: Tensor | None = None

    def visible(self, x: Tensor) -> Tensor:
        """Whether each token of x (B, ..., D), or of all examples in a row (B * L, D), is unmasked: bool (B, ...).

        A mask (B, 1, L, L) hides tokens that may not see themselves; one of another shape hides nothing.
        """
        if self.mask is not None and self.mask.shape == x.shape[:-1]:
            return self.mask.to(x.device, torch.bool)
        if self.mask is not None and self.mask.dim() == 2 and x.dim() == 2 and self.mask.numel() == len(x):
            # The blocks of OPT lay the tokens of all examples in a row before their FFN.
            return self.mask.flatten().to(x.device, torch.bool)
        if self.mask is not None and self.mask.dim() == 4:
            return real_tokens(self.mask, *x.shape[:2]).to(x.device)
        return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)

    def tokens(self, x: Tensor) -> Tensor:
        """Kept tokens of x (B, ..., D), in order: (tokens, D)."""
        shown = x[self.visible(x)]
        return shown if self.rows is None else shown[self.rows.to(x.device)]


class Recorder:
    """Hooks of one FFN or mixture. With `gradients` the hidden activation of a frozen model starts a graph."""

    def __init__(self, mlp: MLP) -> None:
        self.gradients = False
        self.input: Tensor | None = None
        self.hidden: Tensor | None = None
        self.sample: FFNSample | None = None
        self.taken = 0
        self.index: Tensor | None = None
        self.weight: Tensor | None = None
        self.hooks = [mlp.site.get().register_forward_pre_hook(self._entered)]
        if mlp.experts is not None and mlp.experts.module is not None:
            self.hooks.append(mlp.experts.module.get().register_forward_pre_hook(self._routed, with_kwargs=True))
        else:
            assert mlp.down is not None
            self.hooks.append(mlp.down.get().register_forward_pre_hook(self._down))

    def _entered(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.input = args[0].detach()

    def _down(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        self.hidden = args[0]
        if not self.gradients or self.hidden.requires_grad:
            return None
        self.hidden = self.hidden.detach().requires_grad_()
        return (self.hidden, *args[1:])

    def _routed(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        assert self.input is not None
        _, index_TK, weight_TK = (*args, *kwargs.values())
        tokens = self.input.shape[:-1]
        self.index = index_TK.detach().view(*tokens, -1)
        self.weight = weight_TK.detach().view(*tokens, -1)
        # No neurons: nothing that a gradient could reach.
        self.hidden = self.input.new_empty(*tokens, 0).requires_grad_(self.gradients)

    def take(self, picker: Picker, gradient: Tensor | None, total: int) -> None:
        """Keep the picked tokens of the batch that just ran: the next rows of `sample`, which will have `total`."""
        assert self.input is not None and self.hidden is not None
        seen = {
            "x": self.input,
            "h": self.hidden.detach(),
            "dh": gradient,
            "index": self.index,
            "weight": self.weight,
        }
        picked = {name: picker.tokens(tensor) for name, tensor in seen.items() if tensor is not None}
        if self.sample is None:
            # Memory for the tokens of all batches at once: rows that were joined at the end would be there twice.
            empty = {name: tensor.new_empty(total, tensor.shape[1]) for name, tensor in picked.items()}
            self.sample = FFNSample(**empty)
        rows = slice(self.taken, self.taken + len(picked["x"]))
        for name, tensor in picked.items():
            getattr(self.sample, name)[rows] = tensor
        self.taken = rows.stop
        self.input = None
        self.hidden = None
        self.index = None
        self.weight = None

    def remove(self) -> None:
        """Take the hooks off the model."""
        for hook in self.hooks:
            hook.remove()


@dataclass
class Documents:
    """The example of each kept token, and the mean over each example's tokens of what the last block gives."""

    token: list[Tensor] = field(default_factory=list)
    embedding: list[Tensor] = field(default_factory=list)
    count: int = 0

    def add(self, picker: Picker, final: Tensor) -> None:
        """Take the output of the last block for a batch, (B, ..., D)."""
        visible = picker.visible(final)
        number_B = torch.arange(len(final), device=final.device) + self.count
        # The number of each token's example, in the shape of the tokens, so that they are picked alike.
        example = number_B.view(-1, *[1] * (visible.ndim - 1)).expand_as(visible)
        self.token.append(picker.tokens(example.unsqueeze(-1)).squeeze(-1))
        # Tokens of an example may lie in a grid, or be one alone: (B, L) in either case.
        visible_BL = visible.reshape(len(final), visible.shape[1:].numel())
        final_BLD = torch.where(visible.unsqueeze(-1), final, 0).float().reshape(*visible_BL.shape, final.shape[-1])
        count_B1 = visible_BL.sum(1, keepdim=True)
        self.embedding.append(final_BLD.sum(1) / count_B1.clamp_min(1))
        self.count += len(final)


class _Reached(Exception):  # noqa: N818 - not an error
    """The first FFN got its input: the rest of the forward pass is not needed."""


def first_input(model: nn.Module, site: nn.Module, call: Any) -> Tensor:
    """What enters a module, without running what comes after.

    Args:
        model: the model, for an error.
        site: the module.
        call: runs the model.

    Returns:
        The first positional argument.

    Raises:
        RuntimeError: the model ran without the module.
    """
    found: list[Tensor] = []

    def stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        found.append(args[0])
        # The only way out of a model from within: what comes after would be computed for nothing.
        raise _Reached

    hook = site.register_forward_pre_hook(stop)
    try:
        call()
    except _Reached:
        return found[0]
    finally:
        hook.remove()
    raise RuntimeError(f"{type(model).__name__} ran without its first feed-forward layer")
