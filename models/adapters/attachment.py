"""Attach adapters to a model; everything else is frozen."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from ..anatomy import Anatomy, Site, describe, has_parameters
from ..errors import ModelError, check_choice
from .adapter_set import AdapterSet, adapter_sets, register
from .config import AdapterConfig
from .layer import AdapterLayer
from .wrapping import bare_path, freeze_norms


def attach(model: nn.Module, config: AdapterConfig, name: str = "default") -> AdapterSet:
    """Put adapters into `model`, in place, and freeze the rest of it.

    The head stays trainable unless `config.train_head` is False, or it shares its weight with an embedding. Batch norms
    are frozen with their running statistics. A model may carry several sets under different names: each acts inside
    those attached before it, and theirs stay as trainable as they were (but for those that `config.uses`).

    Raises `ModelError`, and leaves the model untouched, when it carries adapters of this name already, or has no place
    for these.
    """
    sets = adapter_sets(model)
    _check_name(model, sets, config, name)
    anatomy = describe(model)
    placed = list(config.place(anatomy, torch.Generator().manual_seed(config.seed)))
    _check(placed, config, anatomy)
    earlier = next(iter(sets.values()), None)
    trainable = [p for p in model.parameters() if p.requires_grad] if earlier is None else earlier.was_trainable
    for used in config.uses():
        sets[used].requires_grad_(False)
    if earlier is None:
        model.requires_grad_(False)
    for site, layer in placed:
        layer.owner, layer.place = name, bare_path(model, site.path)
        layer.match_mode()
        site.replace(layer)
    freeze_norms(model)
    head = anatomy.head if config.train_head and not _tied(anatomy) else None
    if head is not None:
        head.get().requires_grad_(True)
    adapters = AdapterSet(model, config, name, trainable, head)
    register(adapters)
    return adapters


def _check_name(model: nn.Module, sets: dict[str, AdapterSet], config: AdapterConfig, name: str) -> None:
    if not isinstance(name, str) or not name:
        raise ModelError(f"name={name!r} must be a word that tells these adapters from others on the model")
    if name in sets or any(layer.owner == name for layer in model.modules() if isinstance(layer, AdapterLayer)):
        raise ModelError(
            f"the model carries adapters named {name!r} already: remove() them, or attach under a new name"
        )
    for used in config.uses():
        check_choice("adapters", used, tuple(sets))


def _check(placed: list[tuple[Site, AdapterLayer]], config: AdapterConfig, anatomy: Anatomy) -> None:
    if not placed:
        kinds = sorted({type(site.get()).__name__ for block in anatomy.blocks for site in block.linears})
        raise ModelError(
            f"{config} finds no target in {type(anatomy.model).__name__}, whose blocks have "
            f"{', '.join(kinds) or 'no linear layers'}; for LoRA, targets=('linears',) means all of them"
        )
    counts = Counter((id(site.parent), site.name) for site, _ in placed)
    twice = [site.path for site, _ in placed if counts[id(site.parent), site.name] > 1]
    if twice:
        raise ModelError(f"{config} puts two adapters at {twice[0]}: attach them as two sets")


def _tied(anatomy: Anatomy) -> bool:
    """Whether there is no head with weights of its own."""
    if anatomy.head is None or not has_parameters(anatomy.head.get()):
        return True
    places = (site.get() for site in anatomy.embeddings)
    embedded = {id(p) for place in places for p in ([place] if isinstance(place, Tensor) else place.parameters())}
    return any(id(parameter) in embedded for parameter in anatomy.head.get().parameters())
