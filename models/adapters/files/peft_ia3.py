"""IA3 in files of Hugging Face PEFT: factors of outputs are columns there, those of inputs rows."""

from __future__ import annotations

from torch import Tensor, nn

from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.ia3 import IA3Config, IA3Layer
from ..named import exactly
from .peft_folder import PREFIX, Contents, Method, PeftFile, Read


def _read(model: nn.Module, file: PeftFile) -> Read:
    found, rest = file.by_module({"ia3_l": "factor"})
    outputs: list[str] = []
    inputs: list[str] = []
    state: dict[str, Tensor] = {}
    for path, parts in found.items():
        factor = parts["factor"]
        if factor.ndim != 2 or 1 not in factor.shape:
            shape = tuple(factor.shape)
            raise ModelError(f"{file.folder}: ia3_l of {path} has shape {shape}: only linear layers have IA3")
        chosen = outputs if factor.shape[1] == 1 else inputs
        chosen.append(exactly(path))
        state[f"{path}.factor"] = factor.flatten()
    config = IA3Config(modules=tuple(outputs), inputs=tuple(inputs), **file.heads(model, rest))
    return Read(config, state | rest)


def _written(adapters: AdapterSet) -> Contents:
    tensors: dict[str, Tensor] = {}
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
    fields = {
        "target_modules": targets,
        "feedforward_modules": of_inputs,
        "fan_in_fan_out": False,
        "init_ia3_weights": True,
    }
    return Contents(fields, tensors)


IA3 = Method("IA3", (IA3Layer,), frozenset({"feedforward_modules", "init_ia3_weights"}), _read, _written)
