"""Recipes of the folders that older versions wrote, one format for each kind of model, in the words of today's."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .derived_classes import PREFIX

Recipe = dict[str, Any]
ELSEWHERE = ""
"""The room of a model that no file builds: whoever opens the folder gives it."""


def packed(recipe: Recipe, tensors: dict[str, Tensor]) -> Recipe:
    """The recipe of today for a model with packed weights."""
    base = recipe["model"]
    return recipe | {"model": base | {"class": base["class"].removeprefix(PREFIX)}}


def converted(recipe: Recipe, tensors: dict[str, Tensor]) -> Recipe:
    """The recipe of today for a model with mixtures, of transformers before it got a class of ours, or of timm."""
    base = recipe["model"]
    layers = {"blocks": recipe["blocks"], "attention": recipe["attention"]}
    if base["library"] == "timm":
        model = {"room": "timm", "class": base["architecture"], "num_classes": base["num_classes"]}
        return {"model": model, "moe": layers}
    room = None if base["library"] == "transformers" else base["library"]
    return {"model": {"room": room, "class": base["class"], "changed": False}, "moe": layers}


def compact(recipe: Recipe, tensors: dict[str, Tensor]) -> Recipe:
    """The recipe of today for a compact model, which does not say how it was made dynamic: that is done before."""
    layers: Recipe = {}
    for name, entry in recipe["layers"].items():
        # (K, D, ...), or (K, O, D, ...) where channels have one mode each.
        dim = 2 if entry["unit"] == "channel" else 1
        layers[name] = entry | {"dynamic": tensors[f"{name}.compact.dynamic"].shape[dim]}
    attentions: Recipe = {}
    for name, entry in recipe.get("attentions", {}).items():
        attentions[name] = entry | {"dynamic": tensors[f"{name}.compact.bias"].numel()}
    dynamic = {"configs": [], "partitions": {}, "layers": layers, "attentions": attentions}
    return {"model": {"room": ELSEWHERE, "class": "dynamic model"}, "dynamic": dynamic}
