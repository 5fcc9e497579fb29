"""Digests of a model and of data, by which what was computed from them is found again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError

HOME = Path(__file__).parents[1]
"""The folder of the models, all of whose code counts for what they compute."""
FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_GRAPH = "torch_geometric.data.data.Data"
"""What graphs and batches of them are, by name: that package takes long to import."""


def content_digest(value: object) -> str:
    """sha256 of tensors, numbers, texts in mappings, lists, tuples, dataclasses and graphs, with how they are nested.

    Args:
        value: what is digested.

    Raises:
        ModelError: anything else: two values of a type that nothing is known of must not count as equal.
    """
    content = hashlib.sha256()
    _add(content, value)
    return content.hexdigest()


def model_digest(model: nn.Module) -> str:
    """sha256 of what a model computes by: parameters, buffers, and the class and the settings of each module.

    Settings are what a module holds under public names that is no tensor and no module: numbers, texts, functions,
    configurations. So models with the same weights, of which one chooses two experts and the other three, differ.
    Training mode does not count.

    Args:
        model: any model.

    Raises:
        ModelError: weights without memory (the meta device, offloading).
    """
    content = hashlib.sha256()
    for name, module in model.named_modules():
        _add(content, [name, _named(type(module)), list(_settings(module))])
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise ModelError(f"{name} has no memory (device meta): a digest needs the weights, load them first")
        _add(content, [name, tensor])
    return content.hexdigest()


def weights_digest(module: nn.Module) -> str | None:
    """sha256 of the numbers in the parameters and buffers of a module, whatever type holds them; None without memory.

    So a model in bfloat16 and its copy in float32 have one digest.
    """
    content = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        if tensor.is_meta:
            return None
        _add(content, [name, tensor.double() if tensor.is_floating_point() else tensor])
    return content.hexdigest()


@functools.cache
def code_digest() -> str:
    """sha256 of the code of all models: what another version may compute otherwise."""
    content = hashlib.sha256()
    for suffix in ("py", "cpp"):
        for file in sorted(HOME.rglob(f"*.{suffix}")):
            _add(content, [str(file.relative_to(HOME)), file.read_text(encoding="utf-8")])
    return content.hexdigest()


def _add(content: Any, value: Any) -> None:
    """Add a value to a hash, framed: no two values of different structure add the same bytes."""
    if isinstance(value, Tensor):
        content.update(f"tensor {value.dtype} {tuple(value.shape)} ".encode())
        content.update(_bytes(value))
    elif isinstance(value, bool | int | float | str | None):
        # With its length in front, so that no text looks like two values.
        text = repr(value)
        content.update(f"{len(text)} {text} ".encode())
    elif isinstance(value, Mapping):
        content.update(f"mapping {len(value)} ".encode())
        for key, item in value.items():
            _add(content, str(key))
            _add(content, item)
    elif isinstance(value, list | tuple):
        content.update(f"list {len(value)} ".encode())
        for item in value:
            _add(content, item)
    elif any(_named(cls) == _GRAPH for cls in type(value).__mro__):
        _add(content, value.to_dict())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _add(content, _fields(value))
    else:
        raise ModelError(f"the data hold a {type(value).__name__}, of which no digest is known")


def _bytes(tensor: Tensor) -> memoryview:
    tensor = tensor.detach()
    if type(tensor) not in (Tensor, nn.Parameter):
        tensor = tensor + 0  # packed weights: what they stand for
    return tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _settings(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(vars(module).items()):
        # Tensors under plain names come and go with calls (a balance loss, a mask): then None stands for them.
        if not name.startswith("_") and name != "training" and not isinstance(value, Tensor | None):
            yield name, _setting(value)


def _setting(value: Any) -> Any:
    """A value as `_add` takes it; of what nothing is known, the class alone."""
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, list | tuple):
        return [_setting(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(str(_setting(item)) for item in value)
    if isinstance(value, Mapping):
        return {str(key): _setting(item) for key, item in value.items()}
    if isinstance(value, functools.partial):
        return [_setting(value.func), _setting(value.args), _setting(value.keywords)]
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, (type, *FUNCTIONS)):
        return _named(value)
    if hasattr(value, "to_dict") and hasattr(value, "model_type"):  # a configuration of transformers
        return {key: _setting(item) for key, item in value.to_dict().items() if key != "_name_or_path"}
    if dataclasses.is_dataclass(value):
        return [_named(type(value)), _setting(_fields(value))]
    return _named(type(value))


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _named(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
