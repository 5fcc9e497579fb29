"""Padding never counts: each block hands the mask that it is called with to its mixture of experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ...anatomy import Wrapper, describe
from ...calibration.token_mask import MaskReader


@runtime_checkable
class TakesTokenMask(Protocol):
    """A layer that wants to know, before it is called in training, which tokens are real: bool (B, L), None: all.

    `counts_tokens`: whether it makes a difference to the layer.
    """

    token_mask: Tensor | None
    counts_tokens: bool


class HandOver:
    """Forward pre-hook: gives the mixture at `path` in `block` the token mask of the call that begins.

    The mixture is looked up at each call, so that the hook is right in copies of the block and after replacements.
    """

    def __init__(self, block: nn.Module, path: str, reader: MaskReader) -> None:
        self.block = block
        self.names = path.split(".")
        self.reader = reader

    def __call__(self, called: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Read the mask, if the mixture is in training: nothing counts tokens in evaluation but probes of their own."""
        layer: Any = self.block
        for name in self.names:
            layer = layer._modules[name]  # an attribute of a module takes several times as long, in each call
        while isinstance(layer, Wrapper):
            layer = layer.base_layer
        if layer.training and isinstance(layer, TakesTokenMask):
            layer.token_mask = self.reader(args, kwargs)


def hand_over_masks(model: nn.Module) -> None:
    """Let every block whose mixture counts tokens hand its masks over from now on, and no other block.

    Both the block and its attention do. The block always gets the mask, but transformers checkpoints the inside of
    a block, so that when activations are recomputed hooks of the block do not run again; those of its attention do.
    """
    for block in describe(model).blocks:
        module = block.site.get()
        callees = [module]
        if block.attention is not None:
            callees.append(block.attention.site.get())
        for callee in callees:
            _stop_handing_over(callee)
        layer = None if block.mlp is None else block.mlp.site.get()
        if block.mlp is None or not isinstance(layer, TakesTokenMask) or not layer.counts_tokens:
            continue
        path = block.mlp.site.path.removeprefix(f"{block.site.path}.")
        for callee in callees:
            hook = HandOver(module, path, MaskReader.of(callee))
            if hook.reader.name is not None:
                callee.register_forward_pre_hook(hook, with_kwargs=True)


def _stop_handing_over(module: nn.Module) -> None:
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, HandOver):
            del module._forward_pre_hooks[key]
            del module._forward_pre_hooks_with_kwargs[key]
