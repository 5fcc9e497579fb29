"""Attach adapters to a model; everything else is frozen."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..anatomy import Anatomy, Site, describe, has_parameters
from ..errors import ModelError
from .config import AdapterConfig
from .layer import AdapterLayer, FrozenNorm
from .sets import AdapterSet, adapter_sets, bare_path


def attach(model: nn.Module, config: AdapterConfig, name: str = "default") -> AdapterSet:
    """Put adapters into `model`, in place, and freeze the rest of it.

    The head stays trainable unless `config.train_head` is False, or it shares its weight with an embedding. Batch norms
    are frozen with their running statistics. A model may carry several sets under different names: each acts inside
    those attached before it, and theirs stay as trainable as they were.

    Raises `ModelError`, and leaves the model untouched, when it carries adapters of this name already, or has no place
    for these.
    """
    sets = adapter_sets(model)
    if name in sets or any(layer.owner == name for layer in model.modules() if isinstance(layer, AdapterLayer)):
        raise ModelError(
            f"the model carries adapters named {name!r} already: remove() them, or attach under a new name"
        )
    anatomy = describe(model)
    placed = list(config.place(anatomy, torch.Generator().manual_seed(config.seed)))
    _check(placed, config, anatomy)
    earlier = next(iter(sets.values()), None)
    if earlier is None:
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        model.requires_grad_(False)
    else:
        trainable = earlier.was_trainable
    for site, layer in placed:
        layer.owner, layer.place = name, bare_path(model, site.path)
        layer.train(site.get().training)
        site.replace(layer)
    for site in _batch_norms(model):
        site.replace(FrozenNorm(site.get()))
    head = anatomy.head if config.train_head and not _tied(anatomy) else None
    if head is not None:
        head.get().requires_grad_(True)
    sets[name] = AdapterSet(model, config, name, trainable, head)
    return sets[name]


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


def _batch_norms(model: nn.Module) -> list[Site]:
    return [
        Site(parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, _BatchNorm) and not isinstance(parent, FrozenNorm)
    ]


def _tied(anatomy: Anatomy) -> bool:
    """Whether there is no head with weights of its own."""
    if anatomy.head is None or not has_parameters(anatomy.head.get()):
        return True
    places = (site.get() for site in anatomy.embeddings)
    embedded = {id(p) for place in places for p in ([place] if isinstance(place, Tensor) else place.parameters())}
    return any(id(parameter) in embedded for parameter in anatomy.head.get().parameters())
