"""Bottlenecks in files of Hugging Face PEFT, for which `peft_tuners` makes them a method there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import describe
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..config import AdapterConfig
from ..kinds.bottleneck import BottleneckConfig, ScaledAdapter
from ..kinds.by_name import ByNameConfig
from ..named import exactly
from ..wrapping import path_without_wrappers
from .peft_folder import PREFIX, ByModule, Contents, Method, PeftFile, Read

METHOD = "SPARSEBENCH_BOTTLENECK"
"""The `peft_type` of such files."""
HOLDER = "bottleneck_changes"
"""What holds the adapters in a layer there."""
_SAME = ("r", "placement", "activation", "scale", "norm", "dropout", "init", "seed")


def _read(model: nn.Module, file: PeftFile) -> Read:
    """By their placement where it is the modules of the file, else by the names of these."""
    config = file.config
    found: ByModule = {}
    rest: dict[str, Tensor] = {}
    for key, value in file.tensors.items():
        key = key.replace(".base_layer.", ".")
        path, inside, leaf = key.partition(f".{HOLDER}.")
        if inside:
            found.setdefault(path, {})[leaf] = value
        else:
            rest[key] = value
    file.check_whole(found, 2, HOLDER)
    heads = file.heads(model, rest)
    adapter = BottleneckConfig(
        **{field: config[field] for field in _SAME if field in config},
        bias=config.get("use_bias", True),
        train_head=bool(rest),
    )
    state = dict(rest)
    for path, values in found.items():
        state |= {f"{path}.{leaf}": value for leaf, value in values.items()}
    modules = tuple(map(exactly, found))
    named = partial(ByNameConfig, modules=modules, adapter=adapter, width=config.get("width"), **heads)
    return Read(_config(model, adapter, list(found), named), state)


def _config(
    model: nn.Module, adapter: BottleneckConfig, paths: list[str], named: Callable[[], ByNameConfig]
) -> AdapterConfig:
    """By the placement on the last blocks that have one of the modules, if these are all that it has there."""
    try:
        anatomy = describe(model)
        blocks = [path_without_wrappers(anatomy.model, block.site.path) for block in anatomy.blocks]
        number = sum(any(path.startswith(f"{block}.") for path in paths) for block in blocks)
        if number < len(blocks):
            adapter = replace(adapter, blocks=max(number, 1))
        placed = [site for site, _ in adapter.place(anatomy, torch.Generator())]
    except ModelError:  # no anatomy, or blocks that have not what the placement needs
        return named()
    if {path_without_wrappers(anatomy.model, site.path) for site in placed} == set(paths):
        return adapter
    return named()


def _written(adapters: AdapterSet) -> Contents:
    """Pruned weights dense, with zeros. Raises `ModelError` for a set that has lost units, or is of several kinds."""
    config = adapters.config
    width = None
    if isinstance(config, ByNameConfig):
        width = config.width
        config = config.adapter
    if not isinstance(config, BottleneckConfig):
        raise ModelError(f"{type(adapters.config).__name__}: a file holds bottlenecks of one configuration")
    tensors: dict[str, Tensor] = {}
    dense = {place: module.effective() for place, module in adapters.prunable().items()}
    layers = dict(adapters.layers())
    for path, layer in layers.items():
        assert isinstance(layer, ScaledAdapter)
        down: Any = layer.adapter.down
        if down.shape[0] != config.r:
            raise ModelError(f"{path} has lost units, and a file says one width for all layers")
        for leaf, value in _leaves(layer, path, dense).items():
            tensors[f"{PREFIX}{path}.{HOLDER}.{leaf}"] = value
    fields = {field: getattr(config, field) for field in _SAME}
    return Contents(fields | {"use_bias": config.bias, "width": width, "target_modules": list(layers)}, tensors)


def _leaves(layer: ScaledAdapter, path: str, dense: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of an adapter, of pruned ones the whole weight."""
    found: dict[str, Tensor] = {}
    for leaf, value in layer.adapter_parameters():
        module = leaf.rpartition(".")[0]
        if leaf.endswith((".weight", ".values")) and f"{path}.{module}" in dense:
            found[f"{module}.weight"] = dense[f"{path}.{module}"]
        else:
            found[leaf] = value
    return found


BOTTLENECK = Method("bottlenecks", (ScaledAdapter,), frozenset({*_SAME, "use_bias", "width"}), _read, _written)
