"""VeRA in files of Hugging Face PEFT, whose projections are in the file, or to be drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import linear_view, unwrapped
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..kinds.vera import Projections, VeRAConfig, VeRALayer
from ..named import exactly, sites_named
from .peft_folder import PREFIX, Contents, Method, PeftFile, Read, one_for_all

_FIELDS = frozenset(
    {"r", "vera_dropout", "d_initial", "projection_prng_key", "save_projection", "init_weights", "bias"}
)
_PARTS = {"vera_lambda_b": "b", "vera_lambda_d": "d"}
_PROJECTIONS = {"A": "base_model.vera_A", "B": "base_model.vera_B"}


def _read(model: nn.Module, file: PeftFile) -> Read:
    """Projections that the file leaves out are drawn from its seed, as PEFT draws them."""
    config = file.config
    others = dict(file.tensors)
    projections: dict[str, Tensor] = {}
    for part, key in _PROJECTIONS.items():
        if key in others:
            projections[part] = others.pop(key)
    if config.get("save_projection", True) and len(projections) < len(_PROJECTIONS):
        raise ModelError(f"{file.folder} is not whole: it says that it holds vera_A and vera_B, and does not")
    found, rest = replace(file, tensors=others).by_module(_PARTS)
    listed = VeRAConfig(
        modules=tuple(map(exactly, found)),
        r=len(next(iter(found.values()))["d"]),
        seed=config.get("projection_prng_key") or 0,
        d_initial=config.get("d_initial", 0.1),
        dropout=config.get("vera_dropout") or 0.0,
        **file.heads(model, rest),
    )
    state = dict(rest)
    for path, parts in found.items():
        state |= {f"{path}.{part}": value for part, value in parts.items()}
    return Read(listed, state | _shared(model, listed, projections))


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


def _written(adapters: AdapterSet) -> Contents:
    """The projections are written, too."""
    tensors: dict[str, Tensor] = {}
    layers: dict[str, Any] = dict(adapters.layers())
    for path, layer in layers.items():
        tensors[f"{PREFIX}{path}.vera_lambda_b"] = layer.b
        tensors[f"{PREFIX}{path}.vera_lambda_d"] = layer.d
    dropout = one_for_all("dropout", (layer.dropout.p for layer in layers.values()))
    r = one_for_all("r", (len(layer.d) for layer in layers.values()))
    if len({id(layer.projections) for layer in layers.values()}) > 1:
        raise ModelError(
            "the layers are of several VeRAConfigs, each with its projections, of which a file of PEFT holds one pair: "
            "attach them as several sets, and save each"
        )
    shared = next(iter(layers.values())).projections
    tensors |= {key: getattr(shared, part) for part, key in _PROJECTIONS.items()}
    fields = {
        "r": r,
        "vera_dropout": dropout,
        "target_modules": list(layers),
        "projection_prng_key": adapters.config.seed,
        "save_projection": True,
        "fan_in_fan_out": False,
        "bias": "none",
    }
    return Contents(fields, tensors)


VERA = Method("VeRA", (VeRALayer,), _FIELDS, _read, _written)
