"""Moving a scale of a block's channels from what reads them to what writes them, the output unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ....anatomy import MLP, Block, Site
from ....anatomy.linear_layers import has_linear_view, is_transposed_linear
from ..targets import Target

# Shapes: N experts, D channels.

Replace = Callable[[nn.Module, str, nn.Parameter], None]
"""Puts a parameter in the place of a module's own of that name."""


@dataclass(frozen=True)
class Factor:
    """A parameter and the dimension of it that runs over the channels; `first`: where in it they begin."""

    parent: nn.Module
    name: str
    dim: int
    first: int = 0

    def value(self) -> Tensor:
        """The parameter as it is now."""
        return getattr(self.parent, self.name)

    def times(self, scale: Tensor) -> nn.Parameter:
        """A copy scaled by (D,), or by (N, D), where experts lie along the first dimension."""
        old = self.value()
        shape = [1] * old.dim()
        shape[self.dim] = scale.shape[-1]
        if scale.dim() == 2:
            shape[0] = len(scale)
        scaled = old.detach().to(torch.promote_types(old.dtype, scale.dtype), copy=True)
        scaled.narrow(self.dim, self.first, scale.shape[-1]).mul_(scale.view(shape))
        return nn.Parameter(scaled.to(old.dtype), requires_grad=old.requires_grad)


@dataclass(frozen=True)
class Fold:
    """Channels that `writers` give and `readers` take: a scale s multiplies what reads, 1 / s what writes."""

    name: str
    writers: Sequence[Factor]
    readers: Sequence[Factor]

    @property
    def channels(self) -> int:
        """Number of channels; 0 where nothing reads or nothing writes."""
        if not self.readers or not self.writers:
            return 0
        factor = self.readers[0]
        return factor.value().shape[factor.dim]

    def reads(self, target: Target) -> bool:
        """Whether a target is one of the readers."""
        return any(factor.parent is target.parent and factor.name == target.name for factor in self.readers)

    def apply(self, scale: Tensor, replace: Replace = setattr) -> None:
        """Fold a scale in, (D,) or (N, D): scaled copies take the places of the parameters."""
        for factor in self.readers:
            replace(factor.parent, factor.name, factor.times(scale))
        for factor in self.writers:
            replace(factor.parent, factor.name, factor.times(1 / scale))

    def changes(self, run: Callable[[], Tensor]) -> bool:
        """Whether folding changes the output of `run`; all parameters are as they were afterwards.

        The trial scales are powers of two, which move no bit of a mantissa: where all readers are known, the output is
        the same in any floating-point type, and where one is not, it is another.
        """
        before = run()
        kept = [(factor, factor.value()) for factor in (*self.readers, *self.writers)]
        trial_D = torch.ones(self.channels, dtype=kept[0][1].dtype, device=kept[0][1].device)
        trial_D[::2] = 2.0
        trial_D[::3] *= 0.25
        try:
            self.apply(trial_D)
            after = run()
        finally:
            for factor, value in kept:
                setattr(factor.parent, factor.name, value)
        tolerance = 8 * torch.finfo(before.dtype).eps * float(before.abs().max())
        return not torch.allclose(before, after, atol=tolerance, rtol=0)


def norm_fold(block: Block, norm: Site, run: Callable[[], Any]) -> Fold:
    """The channels that a norm writes, with everything in the block that takes its output as it is.

    Found by looking on while `run` passes a batch through the block: modules with parameters whose input lies where the
    output of the norm does. So the router is among them, and Qwen2's gate of the shared expert, and the shared FFN.
    """
    seen: list[nn.Module] = []
    written: list[Tensor] = []

    def wrote(module: nn.Module, args: object, output: Tensor) -> None:
        # Held, so that its memory is given to no other tensor while the block runs: readers are known by the address.
        written[:] = [output]

    def reads(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, Any]) -> None:
        inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        if not written or not inputs or not module._parameters or module in seen:
            return
        # By address and not by name, which no two families share. A slice that begins at the same address is smaller.
        if inputs[0].data_ptr() == written[0].data_ptr() and inputs[0].numel() == written[0].numel():
            seen.append(module)

    hooks = [norm.get().register_forward_hook(wrote)]
    for module in block.site.get().modules():
        hooks.append(module.register_forward_pre_hook(reads, with_kwargs=True))
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    readers: list[Factor] = []
    for module in seen:
        readers += _matrices(module, written[0].shape[-1])
    own = norm.get()
    writers = [Factor(own, name, 0) for name, value in own.named_parameters(recurse=False) if value.dim() == 1]
    return Fold(norm.path, writers, readers)


def _matrices(module: nn.Module, width: int) -> list[Factor]:
    """The matrices of a module that map `width` channels.

    Of a router or of experts, those whose last dimension fits (last but one where experts lie transposed), but for the
    down projections. Where this guess is wrong, folding changes the output, and is not done.
    """
    if has_linear_view(module):
        return [Factor(module, "weight", 0 if is_transposed_linear(module) else 1)]
    values = dict(module.named_parameters(recurse=False))
    # Beside stacks of matrices (N, O, I), what has two dimensions are biases (N, O).
    matrices = 3 if any(value.dim() == 3 for value in values.values()) else 2
    found = []
    for name, value in values.items():
        if value.dim() != matrices or name.startswith("down"):
            continue
        transposed = bool(getattr(module, "is_transposed", False)) and matrices == 3
        dim = matrices - 2 if transposed else matrices - 1
        if value.shape[dim] == width:
            found.append(Factor(module, name, dim))
    return found


def hidden_folds(block: Block, targets: Sequence[Target]) -> Iterator[Fold]:
    """The hidden neurons behind a gate: the up half writes them, the down projection reads them."""
    for down in targets:
        for inward in targets:
            fused = down.hidden and not inward.hidden and inward.parent is down.parent
            if fused and not down.transposed and inward.weight.shape[1] == 2 * down.weight.shape[-1]:
                yield _stack_fold(inward, down)
    if any(target.part == "ffn" for target in targets) and block.mlp is not None and block.mlp.kind == "gated":
        yield _ffn_fold(block.mlp)


def _stack_fold(inward: Target, down: Target) -> Fold:
    """The fold of all experts of a stack, (N, H)."""
    hidden = down.weight.shape[-1]
    writers = [Factor(inward.parent, inward.name, 1, first=hidden)]
    for name, value in inward.parent.named_parameters(recurse=False):
        if value.dim() == 2 and value.shape[1] == 2 * hidden:
            writers.append(Factor(inward.parent, name, 1, first=hidden))
    return Fold(down.path, writers, [Factor(down.parent, down.name, 2)])


def _ffn_fold(mlp: MLP) -> Fold:
    site = mlp.up or mlp.gate_up
    assert site is not None and mlp.down is not None
    first = 0 if mlp.up is not None else mlp.hidden
    up = site.get()
    writers = [Factor(up, "weight", 1 if is_transposed_linear(up) else 0, first)]
    if up.bias is not None:
        writers.append(Factor(up, "bias", 0, first))
    down = mlp.down.get()
    return Fold(mlp.down.path, writers, [Factor(down, "weight", 0 if is_transposed_linear(down) else 1)])
