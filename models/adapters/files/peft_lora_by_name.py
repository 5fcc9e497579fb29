"""Plain LoRA of Hugging Face PEFT by the names of modules: without an anatomy, and on convolutions of any size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...anatomy import UnknownAnatomy, describe
from ..adapter_set import AdapterSet
from ..config import AdapterConfig, CombinedConfig
from ..kinds.by_name import ByNameConfig
from ..kinds.lora import LoRAConfig
from ..named import exactly
from .peft_folder import attach_state, check_head
from .peft_lora import KNOWN, check_plain, factors_of, load_lora, scaling_of


def load_any_lora(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach plain LoRA: as `load_lora`, or by names where no describer knows the model or a kernel is adapted.

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
        describe(model)
    except UnknownAnatomy:
        return _by_name(model, config, tensors, name, folder)
    if any(value.ndim == 4 and value.shape[2:] != (1, 1) for value in tensors.values()):
        return _by_name(model, config, tensors, name, folder)
    return load_lora(model, config, tensors, name, folder)


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
