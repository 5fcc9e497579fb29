"""The layouts that are known: one file each, which recognises a checkpoint and builds the model of it."""

from __future__ import annotations

import importlib
from typing import NamedTuple, Protocol

from torch import nn

from ..errors import ModelError, check_choice
from .checkpoint import Checkpoint

LAYOUTS = (
    *("llama_moe_v1", "llama_moe_v1_residual", "llama_moe_v2", "molm", "expert_drop"),
    *("graphsgpt", "od_conv", "kernel_warehouse", "vit_npz"),
)
"""Files of this folder, in the order in which they are asked."""


class Built(NamedTuple):
    """What a layout makes of a checkpoint.

    `model` is on the CPU, in eval mode. `unknown`: sentences on what the checkpoint cannot tell and was taken to be so.
    """

    model: nn.Module
    unknown: tuple[str, ...] = ()


class Layout(Protocol):
    """A file of this folder."""

    TITLE: str
    """The model and who published it, in a few words."""

    @staticmethod
    def fits(checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint is of this layout, by its configuration or by names of tensors."""
        ...

    @staticmethod
    def build(checkpoint: Checkpoint) -> Built:
        """The model. Takes every tensor that it needs; raises `ModelError` where one is missing or of another shape."""
        ...


def layout(name: str) -> Layout:
    """A layout by name. Raises `ModelError` for an unknown one."""
    check_choice("layout", name, LAYOUTS)
    found: Layout = importlib.import_module(f".{name}", __package__)  # type: ignore[assignment] - a module is one
    return found


def recognise(checkpoint: Checkpoint) -> str:
    """The name of the layout of a checkpoint. Raises `ModelError` where none fits."""
    for name in LAYOUTS:
        if layout(name).fits(checkpoint):
            return name
    said = checkpoint.config.get("model_type", "no model_type")
    known = "; ".join(f"{name} ({layout(name).TITLE})" for name in LAYOUTS)
    raise ModelError(f"{checkpoint.place} ({said}) has no layout that is known here: {known}")
