"""Which convolutions share a warehouse, how many cells it has, and what these hold at first."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site
from ...errors import ModelError
from .config import ConvConfig
from .geometry import Geometry
from .placing import chosen_blocks, no_convolution
from .warehouse import CellAttention, Warehouse, WarehouseConv2d
from .warehouse_config import WarehouseConfig

# Shapes: n cells of a warehouse, c numbers of a cell, m cells of all kernels that share it, M of one kernel.

MOST_CELLS = 64
"""Cells of one kernel, at most: the outputs of its attention are these times the cells of the warehouse."""


def warehouse_convolutions(anatomy: Anatomy, config: WarehouseConfig) -> list[tuple[Site, nn.Module]]:
    """The sites that `config` chooses, and for each a convolution whose kernel comes from a shared warehouse.

    Raises `ModelError` where there are no such convolutions or one is not plain, and where kernels that would share
    have sizes without a common cell.
    """
    generator = torch.Generator().manual_seed(config.seed)
    groups = sharing_groups(anatomy, config)
    if not groups:
        raise no_convolution(anatomy, config.blocks)
    plan: list[tuple[Site, nn.Module]] = []
    for sites in groups:
        plan.extend(_shared(sites, config, generator))
    return plan


def budget_for(anatomy: Anatomy, config: WarehouseConfig, parameters: int) -> float:
    """The largest budget, to 1/1000, with which the changed convolutions have at most so many parameters in total.

    What a network of equal bytes needs: `parameters` is what the convolutions of the other one have, attentions
    included. Raises `ModelError` where even the smallest warehouses have more.
    """
    groups = sharing_groups(anatomy, config)
    low, high = 0, 16_000
    while low < high:
        middle = (low + high + 1) // 2
        if _parameters(groups, dataclasses.replace(config, budget=middle / 1000)) <= parameters:
            low = middle
        else:
            high = middle - 1
    if low == 0:
        raise ModelError(f"parameters={parameters}: warehouses of one cell and their attentions have more than that")
    return low / 1000


def sharing_groups(anatomy: Anatomy, config: WarehouseConfig) -> list[list[Site]]:
    """Convolutions of the blocks with equally many outputs (a stage), those of 1 x 1, of larger kernels and depthwise
    ones apart, whose sizes have little in common. The last convolution is a group of its own."""
    groups: dict[tuple[object, ...], list[Site]] = {}
    for block in chosen_blocks(anatomy, ConvConfig(blocks=config.blocks)):
        sites = list(block.convs)
        if config.shortcuts:
            sites.extend(block.shortcut_convs)
        for site in sites:
            geometry = Geometry.of(site.get(), site.path)
            stage = block.convs[-1].get().out_channels
            kind = (stage, geometry.groups > 1, geometry.kernel == (1, 1))
            groups.setdefault(kind, []).append(site)
    if config.last and config.blocks == "all":
        for site in anatomy.last_convs:
            groups[("last", site.path)] = [site]
    return list(groups.values())


def cell_size(sites: Sequence[Site]) -> int:
    """c: the largest that divides all kernels of a group.

    Raises:
        ModelError: it cuts one into too many.
    """
    sizes = [site.get().weight.numel() for site in sites]
    common = math.gcd(*sizes)
    if max(sizes) // common > MOST_CELLS:
        raise ModelError(
            f"{', '.join(site.path for site in sites)}: kernels of {sizes} numbers have cells of {common} in common, "
            f"more than {MOST_CELLS} of them in one: they cannot share a warehouse"
        )
    return common


def _shared(sites: Sequence[Site], config: WarehouseConfig, generator: torch.Generator) -> list[tuple[Site, nn.Module]]:
    size = cell_size(sites)
    kernels_mc = torch.cat([site.get().weight.detach().reshape(-1, size) for site in sites])
    count = _cells(kernels_mc.shape[0], config.budget)
    # Kernel cell number i starts from cell i of the warehouse, counted round and round.
    home_m = torch.arange(kernels_mc.shape[0]) % count
    warehouse = Warehouse(_first_cells(kernels_mc, count))
    plan: list[tuple[Site, nn.Module]] = []
    done = 0
    for site in sites:
        cells = site.get().weight.numel() // size
        plan.append((site, _layer(site, warehouse, home_m[done : done + cells], config, generator)))
        done += cells
    return plan


def _first_cells(kernels_mc: Tensor, count: int) -> Tensor:
    """(n, c): the mean of the kernel cells that start from each; further ones hold a kernel cell again."""
    total = kernels_mc.shape[0]
    if count >= total:
        return kernels_mc[torch.arange(count, device=kernels_mc.device) % total]
    return torch.stack([kernels_mc[place::count].mean(0) for place in range(count)])


def _layer(
    site: Site, warehouse: Warehouse, home_M: Tensor, config: WarehouseConfig, generator: torch.Generator
) -> nn.Module:
    conv: Any = site.get()
    count = warehouse.cells.shape[0]
    attention = CellAttention(conv.in_channels, home_M, count, generator, reduction=config.reduction)
    geometry = Geometry.of(conv, site.path)
    layer = WarehouseConv2d(warehouse, conv.weight.shape, conv.bias, geometry, attention)
    layer.attention.to(device=conv.weight.device, dtype=conv.weight.dtype)
    return layer.train(conv.training)


def _cells(kernel_cells: int, budget: float) -> int:
    return max(1, round(kernel_cells * budget))


def _parameters(groups: Sequence[Sequence[Site]], config: WarehouseConfig) -> int:
    """The parameters of warehouses, attentions and biases."""
    total = 0
    for sites in groups:
        size = cell_size(sites)
        kernel_cells = sum(site.get().weight.numel() // size for site in sites)
        count = _cells(kernel_cells, config.budget)
        total += count * size
        for site in sites:
            conv = site.get()
            hidden = max(1, conv.in_channels // config.reduction)
            outputs = conv.weight.numel() // size * count
            total += conv.in_channels * hidden + (hidden + 1) * outputs
            total += 0 if conv.bias is None else conv.bias.numel()
    return total
