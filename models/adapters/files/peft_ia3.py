"""IA3 in files of Hugging Face PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.ia3 import IA3Config, IA3Layer
from ..named import exactly
from .peft_folder import (
    PREFIX,
    attach_state,
    by_module,
    check_fields,
    check_head,
    check_whole,
    head_tensors,
    origin,
    write_folder,
)

_KNOWN = frozenset({"feedforward_modules", "init_ia3_weights"})


def load_ia3(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach IA3: factors of outputs are columns in the file, those of inputs rows.

    Args:
        model: the model that the checkpoint was trained on.
        config: the fields of the file.
        tensors: its tensors.
        name: of the new set.
        folder: named in messages.

    Raises:
        ModelError: layers that are not linear, tensors that do not fit. The model stays as it was.
    """
    check_fields(config, _KNOWN, "IA3", folder)
    found, rest = by_module(tensors, {"ia3_l": "factor"})
    check_whole(found, 1, "ia3_l", folder)
    heads = check_head(model, rest, "IA3", folder)
    outputs: list[str] = []
    inputs: list[str] = []
    state: dict[str, Tensor] = {}
    for path, parts in found.items():
        factor = parts["factor"]
        if factor.ndim != 2 or 1 not in factor.shape:
            raise ModelError(f"{folder}: ia3_l of {path} has shape {tuple(factor.shape)}: only linear layers have IA3")
        chosen = outputs if factor.shape[1] == 1 else inputs
        chosen.append(exactly(path))
        state[f"{path}.factor"] = factor.flatten()
    listed = IA3Config(modules=tuple(outputs), inputs=tuple(inputs), heads=heads, train_head=bool(rest))
    return attach_state(model, listed, name, state | rest, folder)


def save_ia3(adapters: AdapterSet, folder: str | Path, base_model_name: str | None) -> None:
    """Write a set of IA3 layers, and its head.

    Args:
        adapters: a set of IA3 layers that is on its model.
        folder: where to.
        base_model_name: for PEFT's `base_model_name_or_path`.
    """
    heads, tensors = head_tensors(adapters)
    targets: list[str] = []
    of_inputs: list[str] = []
    for path, layer in adapters.layers():
        assert isinstance(layer, IA3Layer)
        targets.append(path)
        shape = (-1, 1)
        if layer.of_inputs:
            of_inputs.append(path)
            shape = (1, -1)
        tensors[f"{PREFIX}{path}.ia3_l"] = layer.factor.view(shape)
    config = origin("IA3", base_model_name, heads) | {
        "target_modules": targets,
        "feedforward_modules": of_inputs,
        "fan_in_fan_out": False,
        "init_ia3_weights": True,
    }
    write_folder(folder, config, tensors)
