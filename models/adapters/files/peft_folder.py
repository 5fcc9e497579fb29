"""A folder of Hugging Face PEFT: `adapter_config.json` and `adapter_model.safetensors`; what all its methods share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...anatomy import UnknownAnatomy, describe, unwrapped
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..attach_by_name import attach_by_name
from ..config import AdapterConfig
from ..named import exactly
from ..wrapping import path_without_wrappers

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
PREFIX = "base_model.model."
ORIGIN = frozenset(
    {"peft_type", "base_model_name_or_path", "revision", "task_type", "auto_mapping", "peft_version", "inference_mode"}
)
"""Fields that say where a file is from."""
NAMES = frozenset(
    {
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "modules_to_save",
        "fan_in_fan_out",
        "runtime_config",
    }
)
"""Fields that say nothing that the names of the tensors do not."""


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors. Raises `ModelError` where a file is missing or cannot be read."""
    for file in (CONFIG, TENSORS):
        if not (folder / file).is_file():
            raise ModelError(f"{folder} has no {file}: it is not a checkpoint of PEFT with safe tensors")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{folder} cannot be read: its {CONFIG} holds no fields")
    return config, tensors


def write_folder(folder: str | Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files.

    Args:
        folder: where to; it is made if it is not there.
        config: fields of PEFT's configuration.
        tensors: by the names that PEFT has for them, prefix included.
    """
    written: dict[str, Tensor] = {}
    for key, value in tensors.items():
        written[key] = value.detach().cpu().contiguous().clone()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(written, folder / TENSORS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def origin(method: str, base_model_name: str | None, heads: list[str]) -> dict[str, Any]:
    """The fields that every method has."""
    return {
        "peft_type": method,
        "task_type": None,
        "inference_mode": True,
        "base_model_name_or_path": base_model_name,
        "modules_to_save": heads or None,
    }


def check_fields(config: Mapping[str, Any], known: frozenset[str], what: str, folder: str | Path) -> None:
    """Raise a `ModelError` where fields that are not known here are set."""
    wrong = [key for key in sorted(config) if key not in known | ORIGIN | NAMES and config[key]]
    if wrong:
        named = ", ".join(f"{key}={config[key]!r}" for key in wrong)
        raise ModelError(f"{folder} is not plain {what}: {named} cannot be loaded")


def by_module(tensors: Mapping[str, Tensor], parts: Mapping[str, str]) -> tuple[dict[str, dict[str, Tensor]], dict]:
    """Tensors by the module that they adapt, and all others, without the prefix.

    Args:
        tensors: of a file.
        parts: names of a method's tensors, by the ends of their names in a file.
    """
    found: dict[str, dict[str, Tensor]] = {}
    rest: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = key.removeprefix(PREFIX)
        path, _, end = name.rpartition(".")
        if end in parts and path:
            found.setdefault(path, {})[parts[end]] = value
        else:
            rest[name] = value
    return found, rest


def check_whole(found: Mapping[str, Mapping[str, Tensor]], parts: int, what: str, folder: str | Path) -> None:
    """Raise a `ModelError` unless each module has all its tensors, and there is one."""
    lone = [path for path, tensors in found.items() if len(tensors) < parts]
    if lone or not found:
        raise ModelError(f"{folder} is not whole: {what} of {', '.join(lone) or 'any module'} is missing")


def check_head(model: nn.Module, rest: Mapping[str, Tensor], what: str, folder: str | Path) -> tuple[str, ...]:
    """Raise a `ModelError` where there is anything but the head in addition to adapters.

    Returns:
        The heads as `NamedConfig.heads` names them, for a model without an anatomy that says which its heads are: all
        modules that the file has in addition.
    """
    modules = sorted({key.rpartition(".")[0] for key in rest})
    try:
        sites = describe(model).heads
    except UnknownAnatomy:
        return tuple(map(exactly, modules))
    heads = [path_without_wrappers(unwrapped(model), site.path) for site in sites]
    foreign = [module for module in modules if not f"{module}.".startswith(tuple(f"{head}." for head in heads))]
    if foreign:
        names = ", ".join(foreign)
        known = ", ".join(heads) or "None"
        raise ModelError(f"{folder} holds {names}: in addition to {what} only the head ({known}) can be loaded")
    return ()


def head_tensors(adapters: AdapterSet) -> tuple[list[str], dict[str, Tensor]]:
    """Names of the heads that train with a set, and their tensors with the prefix."""
    heads: list[str] = []
    tensors: dict[str, Tensor] = {}
    for site in adapters.heads:
        head = path_without_wrappers(adapters.model, site.path)
        heads.append(head)
        tensors |= {f"{PREFIX}{head}.{key}": value for key, value in site.get().state_dict().items()}
    return heads, tensors


def attach_state(
    model: nn.Module, config: AdapterConfig, name: str, state: Mapping[str, Tensor], folder: str | Path
) -> AdapterSet:
    """Attach what a file holds; where its tensors do not fit, the model is as it was.

    Args:
        model: the model.
        config: of the set.
        name: of the set.
        state: what the set is to hold.
        folder: named in messages.

    Raises:
        ModelError: names or shapes do not fit.
    """
    adapters = attach_by_name(model, config, name)
    try:
        _check_shapes(adapters, state)
        adapters.load_state_dict(state)
    except ModelError as error:
        adapters.remove()
        raise ModelError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    return adapters


def _check_shapes(adapters: AdapterSet, state: Mapping[str, Tensor]) -> None:
    """Here a narrower factor, which loading would take for one that has lost units, is an error."""
    for key, value in adapters.state_dict().items():
        if key in state and state[key].shape != value.shape:
            raise ModelError(f"{key} has shape {tuple(value.shape)}, not {tuple(state[key].shape)} as given")
