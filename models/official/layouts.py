"""The layouts that are known: one file each, which recognises a checkpoint and builds the model of it."""

from __future__ import annotations

from typing import Any, Protocol

from ..errors import ModelError, check_choice
from .checkpoint import Built, Checkpoint

LAYOUTS = (
    *("llama_moe_v1", "llama_moe_v1_residual", "llama_moe_v2", "molm", "expert_drop"),
    *("graphsgpt", "od_conv", "kernel_warehouse", "vit_npz"),
)
"""Files of this folder, in the order in which they are asked."""


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
    from . import (  # which import transformers, timm and more
        expert_drop,
        graphsgpt,
        kernel_warehouse,
        llama_moe_v1,
        llama_moe_v1_residual,
        llama_moe_v2,
        molm,
        od_conv,
        vit_npz,
    )

    files: tuple[Any, ...] = (
        *(llama_moe_v1, llama_moe_v1_residual, llama_moe_v2, molm, expert_drop),
        *(graphsgpt, od_conv, kernel_warehouse, vit_npz),
    )
    return dict(zip(LAYOUTS, files, strict=True))[name]


def recognise(checkpoint: Checkpoint) -> str:
    """The name of the layout of a checkpoint. Raises `ModelError` where none fits."""
    for name in LAYOUTS:
        if layout(name).fits(checkpoint):
            return name
    said = checkpoint.config.get("model_type", "no model_type")
    known = "; ".join(f"{name} ({layout(name).TITLE})" for name in LAYOUTS)
    raise ModelError(f"{checkpoint.place} ({said}) has no layout that is known here: {known}")
