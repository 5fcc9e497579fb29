"""Adapters in files of AdapterHub's library `adapters`, both ways, on BERT, RoBERTa and ViT of transformers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...anatomy import Anatomy, describe
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..attachment import attach
from ..config import AdapterConfig, CombinedConfig, RankConfig
from ..kinds.bottleneck import ScaledAdapter
from ..kinds.lora import LoRAConfig, LoRALayer
from ..kinds.prefix import PrefixLayer
from ..kinds.shared_parallel import StreamLayer
from ..layer import AdapterLayer
from .adapterhub_config import read_config
from .adapterhub_folder import CONFIG, read_folder, read_head, write_folder, write_head
from .adapterhub_names import PLACES, Part, layers_by_part, names_in, parts_of, path_of, prefix_paths
from .adapterhub_prefix import read_prefix, written_prefix
from .adapterhub_written import written_config

VERSION = "adapters.1.3.0"
"""What is written says that it is of this version."""


def load_adapterhub(
    model: nn.Module, folder: str | Path, name: str | None = None, *, with_head: bool = True
) -> AdapterSet:
    """Attach what `model.save_adapter(folder, ...)` of the library `adapters` wrote.

    Args:
        model: a BERT, RoBERTa or ViT of transformers, of the sizes that the adapter was trained on.
        folder: with `adapter_config.json` and the tensors, and perhaps a head.
        name: the name of the set; None is the one that the file has.
        with_head: load the head too, where there is one in the folder.

    Returns:
        The set, attached and with the saved values.

    Raises:
        ModelError: a function that no kind of ours is (the message names the field), a head of that library's own,
            files that are missing, cannot be read or do not fit the model. The model stays as it was.
    """
    folder = Path(folder)
    about, tensors = read_folder(folder)
    anatomy = describe(model)
    kind = _kind(anatomy)
    if about.get("model_type", kind) != kind:
        raise ModelError(f"{folder} holds adapters of a {about['model_type']}, not of a {kind}")
    theirs = str(about.get("name"))
    head: dict[str, Tensor] = {}
    if with_head:
        head = read_head(folder, anatomy)
    try:
        config = read_config(_settings(about), anatomy, {"train_head": bool(head)})
        found, prefix = parts_of(tensors, kind, theirs)
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder} cannot be read: its {CONFIG} lacks {error}") from error
    except ModelError as error:
        raise ModelError(f"{folder} cannot be loaded: {error}") from error
    adapters = attach(model, config, name or theirs)
    try:
        adapters.load_state_dict(_state(adapters, found, prefix) | head)
    except ModelError as error:
        adapters.remove()
        raise ModelError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    return adapters


def _settings(about: Mapping[str, Any]) -> Any:
    """The settings; versions below 1.1 of the library computed LoRA without the alpha that they said."""
    config = about["config"]
    version = re.fullmatch(r"adapters\.(\d+)\.(\d+).*", str(about.get("version", "")))
    if version and (int(version[1]), int(version[2])) < (1, 1) and config.get("architecture") == "lora":
        return {**config, "alpha": config["r"]}
    return config


def _state(adapters: AdapterSet, found: Mapping[Part, Tensor], prefix: Mapping[str, Tensor]) -> dict[str, Tensor]:
    layers = layers_by_part(adapters, describe(adapters.model))
    left = dict(found)
    state: dict[str, Tensor] = {}
    for (block, part), layer in layers.items():
        if isinstance(layer, PrefixLayer):
            continue
        own = layer.adapter_state()
        for theirs, ours in names_in(layer).items():
            value = left.pop(Part(block, part, theirs), None)
            if value is None:
                raise ModelError(f"{part} of block {block} has no {theirs}")
            if value.numel() != own[ours].numel() or (value.shape != own[ours].shape and ours != "scale"):
                raise ModelError(
                    f"{theirs} of block {block} has shape {tuple(value.shape)}, not {tuple(own[ours].shape)}"
                )
            state[f"{layer.place}.{ours}"] = value.view_as(own[ours])
    if left:
        part = next(iter(left))
        raise ModelError(f"{part.name} at {part.part} of block {part.block} is left over")
    prefixes = [layer for layer in layers.values() if isinstance(layer, PrefixLayer)]
    if prefixes:
        state |= read_prefix(prefix, prefixes)
    elif prefix:
        raise ModelError(f"{', '.join(prefix)} of a prefix is left over")
    return state


def save_adapterhub(adapters: AdapterSet, folder: str | Path) -> None:
    """Write a set, and its head, so that `model.load_adapter(folder)` of the library `adapters` loads it.

    Pruned weights are written dense, with zeros.

    Args:
        adapters: a set on a BERT, RoBERTa or ViT of transformers: bottlenecks, prefixes, LoRA, or several of them.
        folder: where to; it is made if it is not there.

    Raises:
        ModelError: a function that the library does not have, or a set that is not on its model. Nothing is written.
    """
    adapters.check_attached()
    anatomy = describe(adapters.model)
    model: Any = anatomy.model
    kind = _kind(anatomy)
    about = _about(model, kind, adapters.name)
    settings = about | {"config": written_config(adapters.config, anatomy)}
    tensors = _tensors(adapters, anatomy, kind)
    write_folder(Path(folder), settings, tensors)
    head = adapters.head_state()
    if head:
        labels = {"label2id": model.config.label2id, "num_labels": model.config.num_labels, "config": None}
        write_head(Path(folder), about | labels | {"name": None}, head)


def _about(model: Any, kind: str, name: str) -> dict[str, Any]:
    return {
        "hidden_size": model.config.hidden_size,
        "model_class": type(model).__name__,
        "model_name": model.config.name_or_path,
        "model_type": kind,
        "name": name,
        "version": VERSION,
    }


def _tensors(adapters: AdapterSet, anatomy: Anatomy, kind: str) -> dict[str, Tensor]:
    model: Any = anatomy.model
    body = "" if model.base_model is model else f"{model.base_model_prefix}."
    layers = layers_by_part(adapters, anatomy)
    _check_widths(adapters, layers.values())
    written: dict[str, Tensor] = {}
    dense = {place: module.effective() for place, module in adapters.prunable().items()}
    for (block, part), layer in layers.items():
        if isinstance(layer, PrefixLayer):
            continue
        own = layer.adapter_state()
        for theirs, ours in names_in(layer).items():
            value = dense.get(f"{layer.place}.{ours.removesuffix('.weight')}", own.get(ours))
            assert value is not None
            if ours == "scale":
                value = value.flatten()
            written[body + path_of(Part(block, part, theirs), kind, adapters.name)] = value
    prefixes = [layer for layer in layers.values() if isinstance(layer, PrefixLayer)]
    if prefixes:
        blocks = [block for block, part in layers if part == "prefix"]
        for parameter, value in written_prefix(prefixes).items():
            for path in prefix_paths(parameter, blocks, kind, adapters.name):
                written[body + path] = value
    return written


def _check_widths(adapters: AdapterSet, layers: Iterable[AdapterLayer]) -> None:
    """Raise a `ModelError` for a set that has lost units: the settings say one width."""
    said = {isinstance(part, LoRAConfig): part.r for part in _parts(adapters.config) if isinstance(part, RankConfig)}
    for layer in layers:
        down: Any = None
        if isinstance(layer, LoRALayer):
            down = layer.lora_A[0]
        elif isinstance(layer, ScaledAdapter | StreamLayer):
            down = layer.adapter.down
        if down is not None and down.shape[0] != said[isinstance(layer, LoRALayer)]:
            raise ModelError(f"{layer.place} has lost units, and AdapterHub's library says one width for all layers")


def _parts(config: AdapterConfig) -> tuple[AdapterConfig, ...]:
    if isinstance(config, CombinedConfig):
        return config.parts
    return (config,)


def _kind(anatomy: Anatomy) -> str:
    kind = getattr(getattr(anatomy.model, "config", None), "model_type", type(anatomy.model).__name__)
    if kind not in PLACES:
        raise ModelError(f"AdapterHub files are read and written for {', '.join(PLACES)}, not for {kind}")
    return kind
