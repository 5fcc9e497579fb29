"""DoRA in files of Hugging Face PEFT: LoRA with `use_dora`, and the lengths of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..adapter_set import AdapterSet
from ..config import AdapterConfig, CombinedConfig
from ..kinds.dora import DoRAConfig, DoRALayer
from ..named import exactly
from .peft_folder import PREFIX, attach_state, check_head, check_whole, head_tensors, origin, write_folder
from .peft_lora import KNOWN, check_plain, factors_of, lora_fields, scaling_of

_MAGNITUDE = ".lora_magnitude_vector"


def load_dora(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach DoRA: the tensors say which layers are adapted and with which rank, the configuration the scaling.

    Args:
        model: the model that the checkpoint was trained on.
        config: the fields of the file.
        tensors: its tensors.
        name: of the new set.
        folder: named in messages.

    Raises:
        ModelError: another variant too, layers that are not linear, tensors that do not fit. The model stays as it was.
    """
    check_plain(config, KNOWN | {"use_dora"}, "DoRA", folder)
    factors, rest = factors_of(tensors, folder)
    for key in [key for key in rest if key.endswith(_MAGNITUDE)]:
        factors.setdefault(key.removesuffix(_MAGNITUDE), {})["magnitude"] = rest.pop(key)
    check_whole(factors, 3, "lora_A, lora_B or lora_magnitude_vector", folder)
    heads = check_head(model, rest, "DoRA", folder)
    alike: dict[tuple[int, float], list[str]] = {}
    state: dict[str, Tensor] = {}
    for path, factor in factors.items():
        r = len(factor["A"])
        alike.setdefault((r, scaling_of(config, path, r) * r), []).append(exactly(path))
        state[f"{path}.lora_A.weight"] = factor["A"]
        state[f"{path}.lora_B.weight"] = factor["B"]
        state[f"{path}.magnitude"] = factor["magnitude"]
    options: dict[str, Any] = {"dropout": config.get("lora_dropout") or 0.0, "train_head": bool(rest), "heads": heads}
    return attach_state(model, _config(alike, options), name, state | rest, folder)


def _config(alike: Mapping[tuple[int, float], list[str]], options: dict[str, Any]) -> AdapterConfig:
    """One part for each rank and alpha."""
    parts: list[AdapterConfig] = []
    for (r, alpha), modules in alike.items():
        parts.append(DoRAConfig(modules=tuple(modules), r=r, alpha=alpha, **options))
    if len(parts) == 1:
        return parts[0]
    return CombinedConfig(parts=tuple(parts), train_head=options["train_head"])


def save_dora(adapters: AdapterSet, folder: str | Path, base_model_name: str | None) -> None:
    """Write a set of DoRA layers, and its head; pruned factors dense, with zeros.

    Args:
        adapters: a set of DoRA layers that is on its model.
        folder: where to.
        base_model_name: for PEFT's `base_model_name_or_path`.
    """
    heads, tensors = head_tensors(adapters)
    scales: dict[str, tuple[int, float]] = {}
    dropout = 0.0
    for path, layer in adapters.layers():
        assert isinstance(layer, DoRALayer)
        down = layer.lora_A.effective()
        tensors[f"{PREFIX}{path}.lora_A.weight"] = down
        tensors[f"{PREFIX}{path}.lora_B.weight"] = layer.lora_B.effective()
        tensors[f"{PREFIX}{path}{_MAGNITUDE}"] = layer.magnitude
        scales[path] = (len(down), layer.scaling * len(down))
        dropout = layer.dropout.p
    config = origin("LORA", base_model_name, heads) | lora_fields(scales, {}, dropout) | {"use_dora": True}
    write_folder(folder, config, tensors)
