"""How blocks leave a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..errors import ModelError
from .sites import Site, is_wrapper

_BY_LAYER = ("layer_types", "mlp_layer_types", "no_rope_layers", "attention_layers")
"""Lists of configurations with an entry for each layer."""


def check_bare(sites: Sequence[Site]) -> None:
    """Raise a `ModelError` where a wrapper, such as an adapter, lies around one of the sites."""
    for site in sites:
        if is_wrapper(site.parent):
            raise ModelError(f"{site.path} is wrapped in a {type(site.parent).__name__}: take the adapters off first")


def drop(model: nn.Module, blocks: Sequence[Site], dropped: set[int]) -> None:
    """Take the blocks with these indices out of the containers (lists, sequences) that hold them.

    The others move up: their names, the cache indices (`layer_idx`) of their modules, and what the configuration says
    of the layers.
    """
    containers: dict[int, list[int]] = {}
    for index, site in enumerate(blocks):
        containers.setdefault(id(site.parent), []).append(index)
    touched = [members for members in containers.values() if dropped & set(members)]
    for members in touched:
        _check_container(model, blocks, members)
    for members in touched:
        kept = [place for place, index in enumerate(members) if index not in dropped]
        _shorten(model, [blocks[index] for index in members], kept)


def _check_container(model: nn.Module, blocks: Sequence[Site], members: list[int]) -> None:
    first = blocks[members[0]]
    container = first.parent
    if not isinstance(container, nn.ModuleList | nn.Sequential) or len(container) != len(members):
        raise ModelError(f"{first.path} lies in a {type(container).__name__} from which blocks cannot be taken")
    config = _owner_config(model, first)
    if config is None:
        return
    counts_others = any(site.parent is not container and _owner_config(model, site) is config for site in blocks)
    if counts_others or getattr(config, "num_hidden_layers", None) != len(members):
        raise ModelError(
            f"the configuration of {type(model).__name__} does not say num_hidden_layers={len(members)} of the blocks "
            f"around {first.path} alone: blocks can only leave a model whose configuration counts them"
        )


def _shorten(model: nn.Module, sites: list[Site], kept: list[int]) -> None:
    container = sites[0].parent
    config = _owner_config(model, sites[0])
    modules = [sites[place].get() for place in kept]
    container._modules.clear()
    for place, module in enumerate(modules):
        container._modules[str(place)] = module
        sites[kept[place]].name = str(place)
        for inner in module.modules():
            if isinstance(getattr(inner, "layer_idx", None), int):
                inner.layer_idx = place  # type: ignore[assignment]
    if config is None:
        return
    _shorten_config(config, kept)
    whole = getattr(model, "config", config)
    if whole is not config and hasattr(whole, "num_decoder_layers"):
        # An encoder and a decoder (T5), each with a copy of the configuration of the whole.
        name = "num_decoder_layers" if getattr(config, "is_decoder", False) else "num_layers"
        setattr(whole, name, len(kept))


def _owner_config(model: nn.Module, block: Site) -> Any:
    """The configuration of the innermost module around the list of blocks that has one; None for timm."""
    hops = block.path.split(".")[:-2]
    for depth in range(len(hops), -1, -1):
        config = getattr(model.get_submodule(".".join(hops[:depth])), "config", None)
        if config is not None:
            return config
    return None


def _shorten_config(config: Any, kept: list[int]) -> None:
    total = config.num_hidden_layers
    config.num_hidden_layers = len(kept)
    for name in _BY_LAYER:
        entries = getattr(config, name, None)
        if isinstance(entries, list) and len(entries) == total:
            setattr(config, name, [entries[place] for place in kept])
    dense = getattr(config, "first_k_dense_replace", None)
    if isinstance(dense, int):
        config.first_k_dense_replace = sum(place < dense for place in kept)
    _shorten_sparse_step(config, kept)


def _shorten_sparse_step(config: Any, kept: list[int]) -> None:
    """Qwen-MoE: layers without experts are listed, or all but each `decoder_sparse_step`-th."""
    step = getattr(config, "decoder_sparse_step", None)
    if not isinstance(step, int):
        return
    listed = set(config.mlp_only_layers)
    dense = [place in listed or (place + 1) % step != 0 for place in kept]
    config.decoder_sparse_step = 1
    config.mlp_only_layers = [place for place, is_dense in enumerate(dense) if is_dense]
