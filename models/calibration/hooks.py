"""What `calibrate` records with forward hooks: tokens of each FFN, and the examples that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import MLP

# Shapes: B examples of a batch, L tokens of an example, T sampled tokens, D width, F hidden neurons.


@dataclass(frozen=True)
class FFNSample:
    """One FFN on T tokens, in the model's dtype.

    `x` (T, D): its input. `h` (T, F): input of its down projection. `dh` (T, F): derivative of the loss by h, or None.
    """

    x: Tensor
    h: Tensor
    dh: Tensor | None = None


@dataclass(frozen=True)
class Picker:
    """Which tokens of a batch are kept: those that `mask` (B, L) shows, and of these `rows` (None: all)."""

    mask: Tensor | None
    rows: Tensor | None = None

    def visible(self, x: Tensor) -> Tensor:
        """Whether each token of x (B, ..., D) is unmasked: bool (B, ...). A mask of another shape hides nothing."""
        if self.mask is not None and self.mask.shape == x.shape[:-1]:
            return self.mask.to(x.device, torch.bool)
        return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)

    def tokens(self, x: Tensor) -> Tensor:
        """Kept tokens of x (B, ..., D), in order: (tokens, D)."""
        shown = x[self.visible(x)]
        return shown if self.rows is None else shown[self.rows.to(x.device)]


class Recorder:
    """Hooks of one FFN. With `gradients` the hidden activation of a frozen model starts a graph."""

    def __init__(self, mlp: MLP) -> None:
        assert mlp.down is not None
        self.gradients = False
        self.input: Tensor | None = None
        self.hidden: Tensor | None = None
        self.sample: FFNSample | None = None
        self.taken = 0
        self.hooks = (
            mlp.site.get().register_forward_pre_hook(self._entered),
            mlp.down.get().register_forward_pre_hook(self._down),
        )

    def _entered(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.input = args[0].detach()

    def _down(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        self.hidden = args[0]
        if not self.gradients or self.hidden.requires_grad:
            return None
        self.hidden = self.hidden.detach().requires_grad_()
        return (self.hidden, *args[1:])

    def take(self, picker: Picker, gradient: Tensor | None, total: int) -> None:
        """Keep the picked tokens of the batch that just ran: the next rows of `sample`, which will have `total`."""
        assert self.input is not None and self.hidden is not None
        x_TD = picker.tokens(self.input)
        h_TF = picker.tokens(self.hidden.detach())
        dh_TF = None if gradient is None else picker.tokens(gradient)
        if self.sample is None:
            # Memory for the tokens of all batches at once: rows that were joined at the end would be there twice.
            self.sample = FFNSample(
                x=x_TD.new_empty(total, x_TD.shape[1]),
                h=h_TF.new_empty(total, h_TF.shape[1]),
                dh=None if dh_TF is None else dh_TF.new_empty(total, dh_TF.shape[1]),
            )
        rows = slice(self.taken, self.taken + len(x_TD))
        self.sample.x[rows] = x_TD
        self.sample.h[rows] = h_TF
        if self.sample.dh is not None and dh_TF is not None:
            self.sample.dh[rows] = dh_TF
        self.taken = rows.stop
        self.input = None
        self.hidden = None

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
    """What enters the module `site` when `call()` runs `model`, without running what comes after."""
    found: list[Tensor] = []

    def stop(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        found.append(args[0])
        raise _Reached

    hook = site.register_forward_pre_hook(stop)
    try:
        call()
    except _Reached:
        return found[0]
    finally:
        hook.remove()
    raise RuntimeError(f"{type(model).__name__} ran without its first feed-forward layer")
