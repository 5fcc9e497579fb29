"""Padding never counts: each block hands the mask that it is called with to the linear mixtures in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ...anatomy import Block, Wrapper
from ...calibration.token_mask import MaskReader
from ...errors import ModelError
from ...moe.routing.recomputation import recomputing


@runtime_checkable
class CountsTokens(Protocol):
    """A layer that is told before it is called which tokens are real, bool (B, L), None: all.

    `counts_tokens`: whether it makes a difference to the call that comes.
    """

    token_mask: Tensor | None
    counts_tokens: bool


class HandOver:
    """Forward pre-hook of a block or its attention: gives the token mask of this call to the layers at `paths`.

    The layers are looked up at each call, so that the hook is right in copies of the block and after replacements.
    """

    def __init__(self, block: nn.Module, paths: Sequence[str], reader: MaskReader) -> None:
        self.block = block
        self.paths = [path.split(".") for path in paths]
        self.reader = reader

    def __call__(self, called: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Read the mask, once for all layers, if it makes a difference to one of them."""
        counting = [layer for layer in map(self._layer, self.paths) if layer is not None]
        if not counting:
            return
        mask = self.reader(args, kwargs)
        for layer in counting:
            layer.token_mask = mask

    def _layer(self, names: Sequence[str]) -> CountsTokens | None:
        layer: Any = self.block
        for name in names:
            layer = layer._modules.get(name)
            if layer is None:  # the attention was removed meanwhile
                return None
        while isinstance(layer, Wrapper):
            layer = layer.base_layer
        if isinstance(layer, CountsTokens) and layer.counts_tokens:
            return layer
        return None


def hand_over(block: Block, paths: Sequence[str]) -> None:
    """Let a block hand its masks to the layers at these paths (dotted, from the block) from now on.

    Both the block and its attention do. The block always gets the mask, but transformers checkpoints the inside of
    a block, so that when activations are recomputed hooks of the block do not run again; those of its attention do.
    """
    module = block.site.get()
    callees = [module]
    if block.attention is not None:
        callees.append(block.attention.site.get())
    for callee in callees:
        reader = MaskReader.of(callee)
        if reader.name is not None:
            callee.register_forward_pre_hook(HandOver(module, paths, reader), with_kwargs=True)


def stop_handing_over(model: nn.Module) -> None:
    """Take all hooks of `hand_over` out of a model."""
    for module in model.modules():
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, HandOver):
                del module._forward_pre_hooks[key]
                del module._forward_pre_hooks_with_kwargs[key]


class PassedMask:
    """The mask of one call of a layer, checked; the next call may have another."""

    def __init__(self) -> None:
        self._was_masked = False

    def take(self, mask: Tensor | None, x: Tensor) -> Tensor | None:
        """The mask for this call on `x` (..., I), on its device. Raises `ModelError` for one of another size."""
        if mask is None:
            if self._was_masked and recomputing():
                raise ModelError(
                    "a linear mixture is recomputed without the mask that its block had: checkpoint whole blocks"
                )
            self._was_masked = False
            return None
        found = self.peek(mask, x)
        self._was_masked = True
        return found

    def peek(self, mask: Tensor | None, x: Tensor) -> Tensor | None:
        """The same, without a trace. Raises `ModelError` for a mask that does not fit the tokens."""
        if mask is None:
            return None
        tokens = x.numel() // x.shape[-1]
        if mask.numel() != tokens:
            raise ModelError(
                f"a token mask of shape {tuple(mask.shape)} does not fit the {tokens} tokens of a linear mixture: its "
                "block has to give it all tokens at once (chunk_size_feed_forward=0)"
            )
        return mask.to(x.device)
