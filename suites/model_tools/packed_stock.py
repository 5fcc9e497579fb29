"""A converted model with packed weights as a stock one with packed weights: the codes stay, nothing is rounded again.

The stock form of a mixture joins, pads and scales its matrices. So it is made twice: of the weights, and of a model
that has the scale of its group in each place of a packed weight. Where that has gone says what codes and scales are.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.compression.quantisation import Grid, PackedTensor, dense_products, packed_weights
from sparsebench.models.compression.quantisation.grid import GridPoints, Quantised
from sparsebench.models.errors import ModelError
from sparsebench.models.hub.comparison import check_outputs
from sparsebench.models.moe.stock_export import stock_model
from sparsebench.models.precision import cast

from ._dtypes import dtypes_of, restore_dtypes

INSTEAD = "convert and export before you quantise (`export --engine compressed-tensors`, then `compress --bits`)"

# Shapes: N experts (there may be no such dimension), O outputs, I inputs, G groups.


def packed_stock_model(model: Any, architecture: str | None = None) -> Any:
    """The stock model that computes what a converted one with packed weights does, with the same codes.

    Memory holds two further models in float32 meanwhile.

    Args:
        model: what `models.moe.convert` made and `quantise` rounded.
        architecture: as of `models.moe.export`.

    Returns:
        A model of transformers with packed weights, for `export_compressed_tensors`.

    Raises:
        ModelError: grids that differ or have zero points, groups that the stock form cuts through, and what
            `models.moe.export` refuses.
    """
    grid = _one_grid(model)
    dtypes = dtypes_of(stock_model(model, engine="compressed-tensors", architecture=architecture))
    weights, scales = (_in_float32(model, part) for part in ("weight", "scale"))
    stock = stock_model(weights, engine="compressed-tensors", architecture=architecture)
    spread = stock_model(scales, engine="compressed-tensors", architecture=architecture).state_dict()
    dtype = model.dtype
    packed: dict[str, PackedTensor] = {}
    for name, value in stock.named_parameters():
        if not torch.equal(value, spread[name]):
            packed[name] = _packed(name, value.detach(), spread[name], grid, dtype)
    restore_dtypes(stock, dtypes)
    stock.config.dtype = dtype
    for name, value in packed.items():
        place, _, leaf = name.rpartition(".")
        setattr(stock.get_submodule(place), leaf, nn.Parameter(value, requires_grad=False))
    with dense_products():
        check_outputs(model, stock, f"the packed {type(stock).__name__} would not compute what the model does")
    return stock


def _one_grid(model: nn.Module) -> Grid:
    grids = {value.grid for _, value in packed_weights(model)}
    if len(grids) != 1:
        raise ModelError(f"weights lie on {len(grids)} different grids, and the format takes one: {INSTEAD}")
    grid = grids.pop()
    if not grid.symmetric:
        raise ModelError(
            f"the weights have zero points, which no engine reads of experts: quantise without, or {INSTEAD}"
        )
    return grid


def _in_float32(model: nn.Module, part: str) -> nn.Module:
    """A copy in float32 whose packed weights are dense ones, or the scales of their groups."""
    made = copy.deepcopy(model)
    for module in made.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            if not isinstance(value, PackedTensor):
                continue
            quantised = value.quantised()
            scale_OI, zero_OI = quantised.grid.spread(quantised.points, value.columns)
            dense = scale_OI.float()
            if part == "weight":
                dense = dense * (quantised.codes.float() - zero_OI.float())
            dense = dense.mT.contiguous() if value.transposed else dense
            setattr(module, name, nn.Parameter(dense, requires_grad=False))
    return cast(made, torch.float32)


def _packed(name: str, weight_OI: Tensor, scale_OI: Tensor, grid: Grid, dtype: torch.dtype) -> PackedTensor:
    columns = weight_OI.shape[-1]
    size = grid.size(columns)
    if columns % size:
        raise ModelError(f"{name} has {columns} columns, which groups of {size} do not divide: {INSTEAD}")
    grouped = scale_OI.unflatten(-1, (columns // size, size))
    scale_OG = grouped.amax(-1)
    if bool(((grouped != 0) & (grouped != scale_OG.unsqueeze(-1))).any()):
        raise ModelError(f"{name}: the stock form puts columns of different scales into one group: {INSTEAD}")
    steps_OI = torch.where(scale_OI == 0, 0.0, weight_OI / scale_OI).round()
    codes_OI = steps_OI + grid.middle
    if bool(((codes_OI < 0) | (codes_OI > grid.levels)).any()):
        raise ModelError(f"{name} has dense weights among the packed ones: {INSTEAD}")
    kept_OG = torch.where(scale_OG > 0, scale_OG, torch.ones_like(scale_OG)).to(dtype)
    points = GridPoints(kept_OG, torch.full_like(kept_OG, grid.middle, dtype=torch.uint8))
    return PackedTensor.of(Quantised(grid, codes_OI.to(torch.uint8), points))
