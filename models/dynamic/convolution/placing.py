"""Which convolutions of a model are made dynamic, and what comes in their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...anatomy import Anatomy, Block, Site, Wrapper
from ...errors import ModelError
from .base import DynamicConv2d
from .cond_conv import CondConv2d
from .config import ConvConfig
from .dy_conv import DyConv2d
from .geometry import Geometry
from .od_conv import ODConv2d

KINDS: dict[str, Callable[..., DynamicConv2d]] = {
    "dy_conv": DyConv2d.of,
    "cond_conv": CondConv2d.of,
    "od_conv": ODConv2d.of,
}


def dynamic_convolutions(anatomy: Anatomy, config: ConvConfig) -> list[tuple[Site, nn.Module]]:
    """The sites that `config` chooses and a dynamic layer for each, which computes what lies there.

    Raises `ModelError` for a model or blocks without such convolutions, and for one that is not plain (dynamic already,
    quantised, with a parametrisation).
    """
    generator = torch.Generator().manual_seed(config.seed)
    sites = [site for site in convolution_sites(anatomy, config) if _is_wanted(site, config)]
    if not sites:
        raise ModelError(
            f"no convolution of this {type(anatomy.model).__name__} is in blocks={config.blocks!r} with "
            f"which={config.which!r}: there is nothing to make dynamic"
        )
    return [(site, _layer(site, config, generator)) for site in sites]


def convolution_sites(anatomy: Anatomy, config: ConvConfig) -> list[Site]:
    """Convolutions of the chosen blocks, block by block, then the last one; of any size."""
    sites: list[Site] = []
    for block in chosen_blocks(anatomy, config):
        sites.extend(block.convs)
        if config.shortcuts:
            sites.extend(block.shortcut_convs)
    if config.last and config.blocks == "all":
        sites.extend(anatomy.last_convs)
    return sites


def chosen_blocks(anatomy: Anatomy, config: ConvConfig) -> list[Block]:
    """The blocks that `config.blocks` names, in order.

    Raises:
        ModelError: one is not there.
    """
    if isinstance(config.blocks, str):
        return list(anatomy.blocks)
    unknown = sorted(set(config.blocks) - set(range(len(anatomy.blocks))))
    if unknown:
        raise ModelError(f"blocks={config.blocks}: the model has blocks 0..{len(anatomy.blocks) - 1}")
    return [anatomy.blocks[index] for index in sorted(set(config.blocks))]


def named_convolutions(model: nn.Module, config: ConvConfig, names: str) -> list[tuple[Site, nn.Module]]:
    """The convolutions that a regular expression names, and a dynamic layer for each; of any model.

    Args:
        model: it needs no describer.
        config: its `which` holds, too; the options that choose by blocks have to be their defaults.
        names: what the dotted name of a convolution, or of a module around it, matches as a whole.

    Returns:
        Their sites, in the order of the model, and what comes there.

    Raises:
        ModelError: no regular expression, none matches, one is not plain or lies below an adapter, and for options that
            ask for blocks.
    """
    if config.blocks != "all" or not config.shortcuts or not config.last:
        raise ModelError("modules names the convolutions: leave blocks, shortcuts and last of the configuration out")
    sites = [site for site in _named_sites(model, names) if _is_wanted(site, config)]
    if not sites:
        raise ModelError(
            f"no convolution of this {type(model).__name__} is in a module that modules={names!r} matches as a whole, "
            f"with which={config.which!r}: `layer[34]` names layer3, layer4 and all in them, `.*conv2` every conv2"
        )
    generator = torch.Generator().manual_seed(config.seed)
    return [(site, _layer(site, config, generator)) for site in sites]


def _named_sites(model: nn.Module, names: str) -> list[Site]:
    try:
        pattern = re.compile(names)
    except re.error as error:
        raise ModelError(f"modules={names!r} is no regular expression: {error}") from error
    found: list[Site] = []
    for path, module in model.named_modules():
        parts = path.split(".")
        around = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        if not isinstance(module, nn.Conv2d) or not any(map(pattern.fullmatch, around)):
            continue
        parent, _, name = path.rpartition(".")
        site = Site(model.get_submodule(parent), name, path)
        if isinstance(site.parent, Wrapper):
            raise ModelError(f"an adapter lies around {path}: make the model dynamic first, then attach it")
        found.append(site)
    return found


def _is_wanted(site: Site, config: ConvConfig) -> bool:
    if config.which == "all":
        return True
    geometry = Geometry.of(site.get(), site.path)
    if geometry.groups > 1:
        return config.which == "depthwise" and geometry.groups == site.get().in_channels
    if geometry.kernel == (1, 1):
        return config.which == "pointwise"
    return config.which == "spatial"


def _layer(site: Site, config: ConvConfig, generator: torch.Generator) -> nn.Module:
    conv: Any = site.get()
    layer = KINDS[config.kind](conv, config, generator, site.path)
    layer.to(device=conv.weight.device, dtype=conv.weight.dtype)
    return layer.train(conv.training)


def no_convolution(anatomy: Anatomy, blocks: object) -> ModelError:
    """What is wrong where the chosen blocks hold no convolution."""
    kind = type(anatomy.model).__name__
    return ModelError(f"no convolution of this {kind} is in blocks={blocks!r}: there is nothing to make dynamic")
