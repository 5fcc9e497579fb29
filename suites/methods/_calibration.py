"""Calibration of a method that converts a backbone: samples of every FFN, shared by the cells of one process."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from sparsebench.models.calibration.ffn_samples import Calibration, calibrate
from sparsebench.models.calibration.mixture_statistics import LayerStatistics, mixture_statistics

from ..contracts.context import Context

_calibrations: dict[str, Calibration] = {}
"""The last calibration of this process, by the hash of weights and data: cells of one row and seed share it. Just one,
since one of a language model takes up to 1 GB."""

_expert_statistics: dict[str, Sequence[LayerStatistics]] = {}
"""The last statistics of experts of this process, likewise: rows that keep more or fewer experts of one model share
them."""


def split_seed(context: Context) -> int:
    """The seed of the conversion: that of the cell, the same for every method."""
    return int(torch.randint(2**31 - 1, (), generator=context.generator("neuron-split")))


def calibration(model: nn.Module, context: Context, *, gradients: bool) -> Calibration:
    """Samples of every FFN on the calibration data; taken once per process for equal weights and data.

    Gradients are those of the next token's loss for a language model, else of the task's own loss.
    """
    batches = list(context.batches())
    key = f"{_fingerprint(model, batches)} {gradients}"
    if key not in _calibrations:
        _calibrations.clear()
        _calibrations[key] = _calibrate(model, batches, context, gradients)
    return _calibrations[key]


def expert_statistics(model: nn.Module, context: Context, *, all_outputs: bool = False) -> Sequence[LayerStatistics]:
    """What each expert does on the calibration data; taken once per process for equal weights and data."""
    batches = context.calibration()
    key = f"{_fingerprint(model, batches)} {all_outputs}"
    if key not in _expert_statistics:
        _expert_statistics.clear()
        _expert_statistics[key] = mixture_statistics(model, batches, all_outputs=all_outputs)
    return _expert_statistics[key]


def _calibrate(model: nn.Module, batches: list[Any], context: Context, gradients: bool) -> Calibration:
    inputs = [context.inputs(batch) for batch in batches]
    if not gradients or context.target.kind == "next-token":
        return calibrate(model, inputs, gradients=gradients)
    # The loss is called with what the model was called with, but a task's loss takes the whole batch, targets included.
    batch_of = {id(part): batch for part, batch in zip(inputs, batches, strict=True)}

    def summed_loss(output: Any, part: Any) -> Tensor:
        """The task's mean loss on outputs that are there already, times the number of examples."""

        def computed(*_: Any, **__: Any) -> Any:
            return output

        examples = len(output) if isinstance(output, Tensor) else len(part)
        return context.loss(cast(nn.Module, computed), batch_of[id(part)]) * examples

    return calibrate(model, inputs, gradients=True, loss=summed_loss)


def _fingerprint(model: nn.Module, batches: list[Any]) -> str:
    content = hashlib.sha256()
    for leaf in leaves([model.state_dict(), batches]):
        if isinstance(leaf, Tensor):
            content.update(f"{leaf.dtype} {tuple(leaf.shape)}".encode())
            content.update(leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        else:
            content.update(repr(leaf).encode())
    return content.hexdigest()


def leaves(value: Any) -> Iterator[Any]:
    """Tensors, numbers and texts inside mappings, lists, tuples and dataclasses. Raises `TypeError` for the rest."""
    if isinstance(value, Tensor | bool | int | float | str | None):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif dataclasses.is_dataclass(value):
        yield from leaves(vars(value))
    else:
        raise TypeError(f"a calibration batch holds a {type(value).__name__}, of which no hash is known")
