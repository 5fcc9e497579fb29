"""The files of this folder that build a model, one for each layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import check_choice
from .checkpoint import Built, Checkpoint
from .recognition import LAYOUTS

Build = Callable[[Checkpoint], Built]
"""Takes every tensor that the model needs; raises `ModelError` where one is missing or of another shape."""


def build_of(name: str) -> Build:
    """What builds the model of a checkpoint in a layout. Raises `ModelError` for an unknown one."""
    check_choice("layout", name, tuple(LAYOUTS))
    from . import (  # which import transformers, timm and more
        deepseek_moe,
        expert_drop,
        graphsgpt,
        graphsgpt_tuned,
        kernel_warehouse,
        llama_moe_v1,
        llama_moe_v1_residual,
        llama_moe_v2,
        molm,
        od_conv,
        vit_npz,
    )

    files: tuple[Any, ...] = (
        *(llama_moe_v1, llama_moe_v1_residual, llama_moe_v2, molm, deepseek_moe, expert_drop),
        *(graphsgpt, graphsgpt_tuned, od_conv, kernel_warehouse, vit_npz),
    )
    return {file.__name__.rpartition(".")[2]: file.build for file in files}[name]
