"""Plain LoRA of Hugging Face PEFT by names of modules: without an anatomy, outside blocks, on any convolution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...anatomy import Anatomy, UnknownAnatomy, describe
from ..adapter_set import AdapterSet
from ..config import AdapterConfig, CombinedConfig
from ..kinds.by_name import ByNameConfig
from ..kinds.lora import LoRAConfig
from ..named import exactly
from ..wrapping import path_without_wrappers
from .peft_experts import split_fused
from .peft_folder import attach_state, check_head
from .peft_lora import KNOWN, check_plain, factors_of, load_lora, scaling_of


def load_any_lora(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach plain LoRA: as `load_lora`, or by names where no describer knows the model or what is adapted.

    Args:
        model: the model that the checkpoint was trained on.
        config: the fields of the file.
        tensors: its tensors.
        name: of the new set.
        folder: named in messages.

    Raises:
        ModelError: a variant of LoRA, layers that are not there, tensors that do not fit. The model stays as it was.
    """
    try:
        anatomy = describe(model)
    except UnknownAnatomy:
        return _by_name(model, config, tensors, name, folder)
    factors, _ = factors_of(tensors, folder)
    fused, others = split_fused(anatomy, factors)
    if not fused and _outside(anatomy, others):
        return _by_name(model, config, tensors, name, folder)
    return load_lora(model, config, tensors, name, folder)


def _outside(anatomy: Anatomy, factors: Mapping[str, Mapping[str, Tensor]]) -> bool:
    """Whether a module that is adapted is in no block, or is a convolution with a kernel; a head is refused later."""
    heads = {path_without_wrappers(anatomy.model, site.path) for site in anatomy.heads}
    if heads & factors.keys():
        return False
    blocks = tuple(f"{path_without_wrappers(anatomy.model, block.site.path)}." for block in anatomy.blocks)
    for path, factor in factors.items():
        kernel = factor["A"].shape[2:]
        if not path.startswith(blocks) or kernel not in ((), (1, 1)):
            return True
    return False


def _by_name(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    check_plain(config, KNOWN, "LoRA", folder)
    factors, rest = factors_of(tensors, folder)
    heads = check_head(model, rest, "LoRA", folder)
    alike: dict[tuple[int, float], list[str]] = {}
    state = dict(rest)
    for path, factor in factors.items():
        r = len(factor["A"])
        alike.setdefault((r, scaling_of(config, path, r) * r), []).append(exactly(path))
        state[f"{path}.lora_A.0.weight"] = factor["A"]
        state[f"{path}.lora_B.0.weight"] = factor["B"]
    parts: list[AdapterConfig] = []
    for (r, alpha), modules in alike.items():
        adapter = LoRAConfig(r=r, alpha=alpha, dropout=config.get("lora_dropout") or 0.0)
        parts.append(ByNameConfig(modules=tuple(modules), adapter=adapter, heads=heads, train_head=bool(rest)))
    listed = CombinedConfig(parts=tuple(parts), train_head=bool(rest))
    return attach_state(model, listed, name, state, folder)
