"""Attach adapters to a model; everything else is frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..anatomy import Anatomy, Site, describe, unwrapped
from ..errors import ModelError, check_choice
from .adapter_set import AdapterSet, adapter_sets, register
from .config import AdapterConfig
from .layer import AdapterLayer
from .sites import kinds_for
from .trainable import trained_in
from .wrapping import freeze_norms, path_without_wrappers


def attach(model: nn.Module, config: AdapterConfig, name: str = "default") -> AdapterSet:
    """Put adapters into a model, in place, and freeze the rest of it.

    Batch norms are frozen with their running statistics. A model may carry several sets under different names: each
    acts inside those attached before it, and theirs stay as trainable as they were (but for those that `config.uses`).

    Args:
        model: a model whose anatomy is known; wrappers of all of it are seen through.
        config: the kind of adapter and its options. `config.train_head` says whether the head trains too (all of them,
            where a model has several); one that shares its weight with an embedding stays frozen.
        name: the name of the set, which no other set of the model has.

    Returns:
        The set, attached: it counts, saves, merges and removes what was put in.

    Raises:
        ModelError: the model carries adapters of this name already, or has no place for these. It stays as it was.

    Example::

        adapters = attach(model, LoRAConfig(r=16))
        optimizer = torch.optim.AdamW(adapters.parameters())
    """
    model = unwrapped(model)
    sets = adapter_sets(model)
    _check_name(model, sets, config, name)
    anatomy = describe(model)
    placed = list(config.place(anatomy, torch.Generator().manual_seed(config.seed)))
    _check(placed, config, anatomy)
    heads: tuple[Site, ...] = ()
    if config.train_head:
        heads = _trainable_heads(anatomy)
    for site, layer in placed:
        layer.owner = name
        layer.place = path_without_wrappers(model, site.path)
    # What can be refused has been refused by now: the model changes from here on.
    earlier = next(iter(sets.values()), None)
    if earlier is None:
        was_trainable = trained_in(model, lambda value: value.requires_grad)
        model.requires_grad_(False)
    else:
        was_trainable = earlier.was_trainable
    for used in config.uses():
        sets[used].requires_grad_(False)
    placed.sort(key=_looks_on)
    for site, layer in placed:
        if layer.observes:
            layer.base_layer = site.get()  # which may be an adapter by now
        layer.match_mode()
        site.replace(layer)
    freeze_norms(model)
    for head in heads:
        head.get().requires_grad_(True)
    adapters = AdapterSet(model, config, name, was_trainable, heads)
    register(adapters)
    return adapters


def _check_name(model: nn.Module, sets: dict[str, AdapterSet], config: AdapterConfig, name: str) -> None:
    if not isinstance(name, str) or not name:
        raise ModelError(f"name={name!r} must be a word that distinguishes these adapters from others on the model")
    owners = {layer.owner for layer in model.modules() if isinstance(layer, AdapterLayer)}
    if name in sets or name in owners:
        raise ModelError(
            f"the model carries adapters named {name!r} already: remove() them, or attach under a new name"
        )
    for used in config.uses():
        check_choice("adapters", used, tuple(sets))


def _looks_on(placed: tuple[Site, AdapterLayer]) -> bool:
    return placed[1].observes


def _check(placed: list[tuple[Site, AdapterLayer]], config: AdapterConfig, anatomy: Anatomy) -> None:
    if all(layer.observes for _, layer in placed):
        kinds: set[str] = set()
        for block in anatomy.blocks:
            kinds |= {type(site.get()).__name__ for site in block.linears}
        raise ModelError(
            f"{config} finds no target in {type(anatomy.model).__name__}, whose blocks have "
            f"{', '.join(sorted(kinds)) or 'no linear layers'}: use {kinds_for(*anatomy.blocks)}"
        )
    _check_called(placed, anatomy)
    taken: set[tuple[int, str]] = set()
    for site, layer in placed:
        if layer.observes:
            continue
        place = (id(site.parent), site.name)
        if place in taken:
            raise ModelError(f"{config} puts two adapters at {site.path}: attach them as two sets")
        taken.add(place)


def _check_called(placed: list[tuple[Site, AdapterLayer]], anatomy: Anatomy) -> None:
    """Nothing may lie around a layer that is never called: it would not act, and nobody would see that."""
    uncalled = {id(site.get()): site for site in anatomy.uncalled}
    for site, layer in placed:
        found = uncalled.get(id(layer.get_base_layer()))
        if found is not None:
            raise ModelError(
                f"{site.path}: the {type(found.parent).__name__} around it reads its weight and never calls it, so an "
                "adapter there would not act: choose other targets, or let it call the layer (qkv_bias_separate = True "
                "in the EVA attention of timm, the same function)"
            )


def _trainable_heads(anatomy: Anatomy) -> tuple[Site, ...]:
    """The heads with weights of their own."""
    embedded: set[int] = set()
    for site in anatomy.embeddings:
        place = site.get()
        held = [place] if isinstance(place, Tensor) else place.parameters()
        embedded |= {id(parameter) for parameter in held}
    found: list[Site] = []
    for head in anatomy.heads:
        parameters = list(head.get().parameters())
        if not parameters or any(id(parameter) in embedded for parameter in parameters):
            continue
        if not all(parameter.is_floating_point() for parameter in parameters):
            raise ModelError(f"{head.path} holds weights that cannot train (quantised ones): set train_head=False")
        found.append(head)
    return tuple(found)
