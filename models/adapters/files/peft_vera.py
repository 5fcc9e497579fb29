"""VeRA in files of Hugging Face PEFT, whose projections are in the file, or to be drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import linear_view, unwrapped
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.vera import Projections, VeRAConfig, VeRALayer
from ..named import exactly, sites_named
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

_KNOWN = frozenset({"r", "vera_dropout", "d_initial", "projection_prng_key", "save_projection", "init_weights", "bias"})
_PARTS = {"vera_lambda_b": "b", "vera_lambda_d": "d"}
_PROJECTIONS = {"A": "base_model.vera_A", "B": "base_model.vera_B"}


def load_vera(
    model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor], name: str, folder: str | Path
) -> AdapterSet:
    """Attach VeRA; projections that the file leaves out are drawn from its seed, as PEFT draws them.

    Args:
        model: the model that the checkpoint was trained on.
        config: the fields of the file.
        tensors: its tensors.
        name: of the new set.
        folder: named in messages.

    Raises:
        ModelError: trained biases, layers that are not linear, tensors that do not fit. The model stays as it was.
    """
    check_fields(config, _KNOWN, "VeRA", folder)
    if config.get("bias", "none") != "none":
        raise ModelError(f"{folder} is not plain VeRA: bias={config['bias']!r} cannot be loaded")
    others = dict(tensors)
    projections: dict[str, Tensor] = {}
    for part, key in _PROJECTIONS.items():
        if key in others:
            projections[part] = others.pop(key)
    if config.get("save_projection", True) and len(projections) < len(_PROJECTIONS):
        raise ModelError(f"{folder} is not whole: it says that it holds vera_A and vera_B, and does not")
    found, rest = by_module(others, _PARTS)
    check_whole(found, 2, "vera_lambda_b or vera_lambda_d", folder)
    heads = check_head(model, rest, "VeRA", folder)
    listed = VeRAConfig(
        modules=tuple(map(exactly, found)),
        r=len(next(iter(found.values()))["d"]),
        seed=config.get("projection_prng_key") or 0,
        d_initial=config.get("d_initial", 0.1),
        dropout=config.get("vera_dropout") or 0.0,
        train_head=bool(rest),
        heads=heads,
    )
    state = dict(rest)
    for path, parts in found.items():
        state |= {f"{path}.{part}": value for part, value in parts.items()}
    state |= _shared(model, listed, projections)
    return attach_state(model, listed, name, state, folder)


def _shared(model: nn.Module, listed: VeRAConfig, projections: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The projections under the name of the first layer of the model, which holds them for all."""
    sites = sites_named(unwrapped(model), listed.modules)
    if not projections:
        weights: list[Tensor] = []
        for name, site in sites:
            weights.append(linear_view(site.get(), name).weight)
        projections = Projections(listed.r, weights, torch.Generator().manual_seed(listed.seed)).state_dict()
    first, _ = sites[0]
    return {f"{first}.projections.{part}": value for part, value in projections.items()}


def save_vera(adapters: AdapterSet, folder: str | Path, base_model_name: str | None) -> None:
    """Write a set of VeRA layers with their projections, and its head.

    Args:
        adapters: a set of VeRA layers that is on its model.
        folder: where to.
        base_model_name: for PEFT's `base_model_name_or_path`.
    """
    heads, tensors = head_tensors(adapters)
    layers = dict(adapters.layers())
    for path, layer in layers.items():
        assert isinstance(layer, VeRALayer)
        tensors[f"{PREFIX}{path}.vera_lambda_b"] = layer.b
        tensors[f"{PREFIX}{path}.vera_lambda_d"] = layer.d
        tensors |= {key: getattr(layer.projections, part) for part, key in _PROJECTIONS.items()}
    any_layer: Any = next(iter(layers.values()))
    config = origin("VERA", base_model_name, heads) | {
        "r": len(any_layer.d),
        "vera_dropout": any_layer.dropout.p,
        "target_modules": list(layers),
        "projection_prng_key": adapters.config.seed,
        "save_projection": True,
        "fan_in_fan_out": False,
        "bias": "none",
    }
    write_folder(folder, config, tensors)
