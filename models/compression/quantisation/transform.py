"""Quantisation of a model, block by block, on what the blocks before it give by then."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import nn

from ...anatomy import describe
from ...calibration.by_block import BlockPass, by_block
from ...counting import stored_bytes
from ...errors import ModelError, check_choice
from ..linear.linear_map import Part, check_parts
from ..linear.names import Names
from ..scarce import warn_scarce
from .changes import Changes
from .grid import Grid
from .packed.kernels.codes import misfit, slowdown
from .packed.kernels.products import dense_products, why_dense
from .packed.packed_tensor import PackedTensor
from .report import QuantisationReport
from .rounding.awq import AWQConfig
from .rounding.gptq import GPTQConfig
from .rounding.moments import moments_of
from .rounding.round_block import Rounding
from .rounding.scaling import scale_block
from .targets import Target, targets_of

QuantisationMethod = Literal["rtn", "gptq", "awq"]


@dataclass(frozen=True, kw_only=True)
class QuantiseConfig:
    """What is rounded, to which grid, and how.

    Attributes:
        method: "rtn" rounds to the nearest and needs no data; "gptq" (arXiv 2210.17323) and "awq" (arXiv 2306.00978)
            do.
        grid: bits, groups and zero points.
        parts: "experts", "shared" (the FFN that all tokens pass in addition to them), "attention", "ffn" (dense ones),
            "router".
        gptq: options of GPTQ.
        awq: options of AWQ.
        least_tokens: an expert that fewer tokens of the calibration data reach is rounded to the nearest, and reported.
        targets: regular expressions on names of parameters, such as `model.layers.0.mlp.experts.down_proj`, which may
            hold all experts of a block: only those in which one is found are rounded (`linear/names.py`).
        ignore: regular expressions on names of parameters that stay as they are.

    Raises:
        ModelError: what is not one of these.
    """

    method: QuantisationMethod = "gptq"
    grid: Grid = field(default_factory=Grid)
    parts: tuple[Part, ...] = ("experts",)
    gptq: GPTQConfig = field(default_factory=GPTQConfig)
    awq: AWQConfig = field(default_factory=AWQConfig)
    least_tokens: int = 1
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("method", self.method, get_args(QuantisationMethod))
        check_parts(self.parts)
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise ModelError(f"parts={self.parts} must name different parts, at least one")
        if self.least_tokens < 1:
            raise ModelError(f"least_tokens={self.least_tokens} must be 1 or more")
        _ = self.names  # which refuses what is no regular expression

    @property
    def names(self) -> Names:
        """Which parameters are meant."""
        return Names(tuple(self.targets), tuple(self.ignore))


@torch.no_grad()
def quantise(
    model: nn.Module,
    config: QuantiseConfig,
    batches: Iterable[object] | None = None,
    *,
    grids: Mapping[int, Grid] | None = None,
) -> QuantisationReport:
    """Replace weights of a model by packed ones, in place.

    One block is looked at after the other, on the outputs of those before as they are by then, so that memory holds the
    second moments of one block, and with dense weights, so that every machine finds the same codes. Warns of grids that
    no kernel reads, with the factor in speed, and of matrices that fewer calibration tokens reach than a quarter of
    their inputs.

    Args:
        model: a model whose anatomy is known.
        config: what is rounded, to which grid, and how.
        batches: calibration data for "gptq" and "awq", run as `model(**batch)` for mappings, else `model(batch)`;
            padding, by the attention mask, does not count.
        grids: by index of a block, its own grid instead of `config.grid`; blocks that are not named stay as they are.

    Returns:
        What was done to each weight, its error, the bytes before and after, and which weights are read dense.

    Raises:
        ModelError: a model without any of the parts, named blocks without them, weights or activations that are NaN or
            infinite, weights that are quantised already, and data that are missing or hold no token. The model stays as
            it was.

    Example: `quantise(mixtral, QuantiseConfig(grid=Grid(bits=3, group_size=64)), batches)`.
    """
    targets = _chosen(targets_of(describe(model), config.parts), grids)
    chosen = config.names.chosen([target.path for target in targets], "parameters")
    targets = [target for target, meant in zip(targets, chosen, strict=True) if meant]
    report = QuantisationReport(method=config.method, bytes_before=stored_bytes(model))
    with Changes() as changes, dense_products():

        def rounding_of(block: int) -> Rounding:
            grid = config.grid if grids is None else grids[block]
            return Rounding(grid, config.gptq, config.awq, config.least_tokens, changes, report)

        if config.method == "rtn":
            for target in targets:
                rounding_of(target.block).nearest(target)
        else:
            _on_data(model, config, batches, targets, rounding_of)
            if not any(weight.tokens for weight in report.weights):
                raise ModelError("no calibration token reached any of the matrices: pass batches with unmasked tokens")
        report.bytes_after = stored_bytes(model)
        report.read_dense = _read_dense(targets)
    _warn_slow(targets)
    warn_scarce([(weight.name, weight.tokens or 0, weight.inputs) for weight in report.scarce])
    return report


def _chosen(targets: list[Target], grids: Mapping[int, Grid] | None) -> list[Target]:
    """Those of the blocks with a grid of their own, if any has one."""
    if grids is None:
        return targets
    unknown = sorted(set(grids) - {target.block for target in targets})
    if unknown:
        raise ModelError(f"grids name the blocks {unknown}, which have none of these parts")
    return [target for target in targets if target.block in grids]


class SlowGridWarning(UserWarning):
    """Packed weights on a grid that no kernel reads on any processor."""


def _warn_slow(targets: Sequence[Target]) -> None:
    """Say by how much, for each grid that no kernel takes: on this processor others may be slow, too (`read_dense`)."""
    slow: dict[str, Grid] = {}
    for target in targets:
        codes = getattr(target.parent, target.name).codes
        reason = misfit(codes.grid, codes.columns)
        if reason is not None:
            slow.setdefault(reason, codes.grid)
    for reason, grid in slow.items():
        warnings.warn(
            f"no kernel multiplies weights of {grid.bits} bits in groups of {grid.group_size or 'a row'} as they are "
            f"({reason}): the dense weight is made at each use, so that a product of one token takes about "
            f"{slowdown(grid)} times as long as with dense bfloat16 weights, one of hundreds some 10 to 50 times; take "
            "groups of a multiple of 32, or `dequantise(model)` to compute with",
            SlowGridWarning,
            stacklevel=4,
        )


def _read_dense(targets: Sequence[Target]) -> dict[str, str]:
    """Which of the packed weights no kernel multiplies as they are, and why."""
    found = {}
    for target in targets:
        reason = why_dense(getattr(target.parent, target.name).codes)
        if reason is not None:
            found[target.path] = reason
    return found


def _on_data(
    model: nn.Module,
    config: QuantiseConfig,
    batches: Iterable[object] | None,
    targets: Sequence[Target],
    rounding_of: Callable[[int], Rounding],
) -> None:
    if batches is None or batches == []:
        raise ModelError(f"method={config.method!r} needs calibration batches: pass some, or use method='rtn'")
    places: dict[int, list[Target]] = {}
    for target in targets:
        places.setdefault(target.block, []).append(target)
    for step in by_block(model, batches, places):
        round_block(step, config.method, places[step.block.index], rounding_of(step.block.index))


def round_block(step: BlockPass, method: QuantisationMethod, targets: Sequence[Target], rounding: Rounding) -> None:
    """Quantise the targets of one block, on the batches that are in front of it."""
    if method == "rtn":
        for target in targets:
            rounding.nearest(target)
    elif method == "gptq":
        _gptq_block(step, targets, rounding)
    else:
        _awq_block(step, targets, rounding)


def _gptq_block(step: BlockPass, targets: Sequence[Target], rounding: Rounding) -> None:
    """First what reads the inputs of experts, and all other layers, then what reads the hidden neurons by then."""
    for hidden in (False, True):
        stage = [target for target in targets if target.hidden == hidden]
        if stage:
            for target, moments in zip(stage, moments_of(step, stage), strict=True):
                rounding.gptq(target, moments)


def _awq_block(step: BlockPass, targets: Sequence[Target], rounding: Rounding) -> None:
    moments = moments_of(step, targets)
    scale_block(step, targets, moments, rounding)
    for target, own in zip(targets, moments, strict=True):
        rounding.awq(target, own)


@torch.no_grad()
def dequantise(model: nn.Module) -> int:
    """Put the dense weights in the places of all packed ones, in place.

    Args:
        model: a model with packed weights, or without.

    Returns:
        How many weights were packed.
    """
    count = 0
    for module in model.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            if isinstance(value, PackedTensor):
                setattr(module, name, nn.Parameter(value.dense().contiguous(), requires_grad=False))
                count += 1
    return count
